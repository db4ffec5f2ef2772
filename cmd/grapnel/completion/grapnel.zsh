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
	local at=grapnel i word line cur=${words[CURRENT]} flag
	local -a f names described
	local -A kinds values found
	_grapnel_load() {
		kinds=() values=() found=() described=()
		for line in "${(f)_grapnel_table}"; do
			f=("${(@s:|:)line}")
			[[ $f[1] == "$at" ]] || continue
			kinds[$f[2] $f[3]]=$f[4]
			values[$f[2] $f[3]]=$f[5]
			found[$f[2] $f[3]]=$f[6]
		done
	}
	_grapnel_load
	for ((i = 2; i < CURRENT; i++)); do
		word=${words[i]}
		if [[ $word == -*=* ]]; then
			continue
		elif [[ $word == -* ]]; then
			if [[ -n ${kinds[flag $word]} && ${kinds[flag $word]} != none ]]; then
				((i++))
			fi
		elif (( ${+found[command $word]} )); then
			at="$at $word"
			_grapnel_load
		fi
	done

	if [[ $cur == --*=* ]]; then
		flag=${cur%%=*}
		compset -P '*='
		_grapnel_value "${kinds[flag $flag]}" "${values[flag $flag]}"
		return
	fi
	flag=${words[CURRENT - 1]}
	if [[ $flag == -* && -n ${kinds[flag $flag]} && ${kinds[flag $flag]} != none ]]; then
		_grapnel_value "${kinds[flag $flag]}" "${values[flag $flag]}"
		return
	fi
	local what=command
	[[ $cur == -* ]] && what=flag
	for word in ${(k)found}; do
		[[ $word == "$what "?* ]] && described+=("${word#$what }:${found[$word]//:/\\:}")
	done
	if (( $#described )); then
		_describe -t ${what}s $what described
		return
	fi
	_grapnel_value "${kinds[argument ]}" "${values[argument ]}"
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
	_grapnel "$@"
else
	compdef _grapnel grapnel
fi
