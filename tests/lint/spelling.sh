#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# No word of the common list of misspellings.
set -euo pipefail

mapfile -t files < <(lint-files ':!COPYING' ':!LICENSES' ':!tests/fuzz/corpus')
codespell --quiet-level=2 --ignore-words-list=fo,fro,iput,nd,ue,wher,msdos,te "${files[@]}"
