# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for fseventsctl(1)

# _fseventsctl_where [--bus=BUS] - directories, and mount points. A mount point can
# have any name: only one that is no shell syntax may get into a command line.
_fseventsctl_where() {
	local place

	_filedir -d
	while read -r place _; do
		[[ $place =~ ^/[A-Za-z0-9./_+@:-]*$ && $place == "$cur"* ]] && COMPREPLY+=("$place")
	done < <(fseventsctl "$@" list 2>/dev/null)
}

_fseventsctl() {
	# shellcheck disable=SC2034 # the function below sets split
	local cur prev words cword split verb="" at=0 i bus=()
	_init_completion -s || return

	for ((i = 1; i < cword; i++)); do
		case ${words[i]} in
		--bus=*)
			bus=("${words[i]}")
			;;
		--bus)
			bus=("--bus=${words[i + 1]-}")
			((i++))
			;;
		--since | --events | -e | --latency | --stop)
			((i++))
			;;
		-*) ;;
		*)
			if [[ -z $verb ]]; then
				verb=${words[i]}
				at=$i
			fi
			;;
		esac
	done

	case $prev in
	--bus)
		mapfile -t COMPREPLY < <(compgen -W 'system session' -- "$cur")
		return
		;;
	--since | --latency)
		return
		;;
	--stop)
		_pids
		return
		;;
	-e | --events)
		# The last of them; those before stay.
		mapfile -t COMPREPLY < <(compgen -P "${cur%"${cur##*,}"}" -W 'access modify attrib close-write open
			create delete move delete-self move-self mount unmount all' -- "${cur##*,}")
		compopt -o nospace
		return
		;;
	esac

	case $cur in
	-*)
		mapfile -t COMPREPLY < <(compgen -W '--bus= --json --version --help' -- "$cur")
		[[ $verb == history || -z $verb ]] && [[ --since= == "$cur"* ]] && COMPREPLY+=(--since=)
		[[ $verb == relay && --list == "$cur"* ]] && COMPREPLY+=(--list)
		[[ $verb == relay && --stop= == "$cur"* ]] && COMPREPLY+=(--stop=)
		[[ $verb == status && --openmetrics == "$cur"* ]] && COMPREPLY+=(--openmetrics)
		[[ $verb == watch ]] && mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W '--recursive
			--events= --latency= --cross-mounts' -- "$cur")
		[[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
		return
		;;
	esac

	case $verb in
	"")
		mapfile -t COMPREPLY < <(compgen -W 'status list show monitor history watch track relay test
			configure check-config reload' -- "$cur")
		;;
	test)
		if ((cword == at + 2)); then
			mapfile -t COMPREPLY < <(compgen -W 'enospc enospc-metadata enospc-inodes threshold-below
				threshold-above read-only read-write corrupted io-error writeback-error shutdown
				frozen thawed mounted unmounted stalled responding' -- "$cur")
		elif ((cword == at + 1)); then
			_fseventsctl_where "${bus[@]}"
		fi
		;;
	track | relay)
		if [[ $verb == relay || ${words[at + 1]-} != -- ]]; then
			((cword == at + 1)) && _pids
		elif ((cword == at + 2)); then
			mapfile -t COMPREPLY < <(compgen -c -- "$cur")
		else
			_filedir
		fi
		;;
	show)
		((cword == at + 1)) || return 0
		_fseventsctl_where "${bus[@]}"
		;;
	status | monitor)
		_fseventsctl_where "${bus[@]}"
		;;
	watch)
		_filedir
		;;
	check-config)
		((cword == at + 1)) && _filedir
		;;
	esac
}

complete -F _fseventsctl fseventsctl
