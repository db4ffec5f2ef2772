# bash completion for grapnel: source this file.

_grapnel_table='
@TABLE@
'

# Finds lines of the table: command, what, and if given the word.
_grapnel_find() {
	local line path what word kind values
	while IFS='|' read -r path what word kind values _; do
		if [[ $path == "$1" && $what == "$2" && ( $# -lt 3 || $word == "$3" ) ]]; then
			printf '%s|%s|%s\n' "$word" "$kind" "$values"
		fi
	done <<<"$_grapnel_table"
}

_grapnel_value() {
	case $1 in
	words) mapfile -t COMPREPLY < <(compgen -W "$2" -- "$3") ;;
	file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$3") ;;
	folder) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$3") ;;
	esac
}

_grapnel() {
	local cur=${COMP_WORDS[COMP_CWORD]} path=grapnel word kind values flag i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		=) ((i++)) ;; # --flag=value is three words
		-*)
			IFS='|' read -r _ kind _ < <(_grapnel_find "$path" flag "$word")
			if [[ -n $kind && $kind != none && ${COMP_WORDS[i + 1]} != = ]] && ((i + 1 < COMP_CWORD)); then
				((i++))
			fi
			;;
		*)
			if [[ -n $(_grapnel_find "$path" command "$word") ]]; then
				path="$path $word"
			fi
			;;
		esac
	done

	flag=${COMP_WORDS[COMP_CWORD - 1]}
	if [[ $cur == = ]]; then
		cur=
	elif [[ $flag == = ]]; then
		flag=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	if [[ $flag == -* ]]; then
		IFS='|' read -r _ kind values < <(_grapnel_find "$path" flag "$flag")
		if [[ -n $kind && $kind != none ]]; then
			_grapnel_value "$kind" "$values" "$cur"
			return
		fi
	fi

	if [[ $cur == -* ]]; then
		values=$(_grapnel_find "$path" flag | cut -d '|' -f 1)
		mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
		return
	fi
	values=$(_grapnel_find "$path" command | cut -d '|' -f 1)
	if [[ -n $values ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
		return
	fi
	IFS='|' read -r _ kind values < <(_grapnel_find "$path" argument)
	_grapnel_value "$kind" "$values" "$cur"
}

complete -F _grapnel grapnel
