# SPDX-License-Identifier: GPL-2.0-or-later
"""
The bus tests: the real daemon on private buses and real filesystems.

Run by `./dev test bus` inside tests/private-namespace.
"""

# As in tests/desktop, tests/health, tests/process and tests/watch: files called conftest cannot
# import each other.
pytest_plugins = "bus_fixtures"
