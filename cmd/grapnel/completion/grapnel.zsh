#compdef grapnel
# zsh completion for grapnel: put this into a file _grapnel in a folder of
# $fpath, or source it after compinit.

_grapnel_table='
@TABLE@
'

_grapnel_value() {
	case $1 in
	words) compadd -- ${=2} ;;
	file) _files ;;
	folder) _files -/ ;;
	*) return 1 ;;
	esac
}

_grapnel() {
	local at=grapnel i key word line cur=${words[CURRENT]} flag
	local -a f described
	local -A kinds values found
	_grapnel_load() {
		kinds=() values=() found=()
		for line in "${(f)_grapnel_table}"; do
			f=("${(@s:|:)line}")
			[[ $f[1] == "$at" ]] || continue
			key="$f[2]:$f[3]"
			kinds[$key]=$f[4]
			values[$key]=$f[5]
			found[$key]=$f[6]
		done
	}
	_grapnel_load
	for ((i = 2; i < CURRENT; i++)); do
		word=${words[i]}
		if [[ $word == -*=* ]]; then
			continue
		elif [[ $word == -* ]]; then
			key="flag:$word"
			if [[ -n $kinds[$key] && $kinds[$key] != none ]]; then
				((i++))
			fi
		else
			key="command:$word"
			if [[ -n $found[$key] ]]; then
				at="$at $word"
				_grapnel_load
			fi
		fi
	done

	if [[ $cur == --*=* ]]; then
		key="flag:${cur%%=*}"
		compset -P '*='
		_grapnel_value "$kinds[$key]" "$values[$key]"
		return
	fi
	key="flag:${words[CURRENT - 1]}"
	if [[ $key == flag:-* && -n $kinds[$key] && $kinds[$key] != none ]]; then
		_grapnel_value "$kinds[$key]" "$values[$key]"
		return
	fi
	local what=command
	[[ $cur == -* ]] && what=flag
	for key in ${(k)found}; do
		word=${key#$what:}
		[[ $key == $what:?* ]] && described+=("$word:${found[$key]//:/\\:}")
	done
	if (( $#described )); then
		_describe -t ${what}s $what described
		return
	fi
	key='argument:'
	_grapnel_value "$kinds[$key]" "$values[$key]"
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
	_grapnel "$@"
else
	compdef _grapnel grapnel
fi
