# fish completion for grapnel: put this into ~/.config/fish/completions.

set -g __grapnel_table '
@TABLE@
'

# Prints what can come next, each with what it means behind a tab.
function __grapnel_complete
    set -l at grapnel
    set -l skip 0
    set -l flag
    set -l cur (commandline -ct)
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            set flag
            continue
        end
        switch $word
            case '-*=*'
            case '-*'
                set -l kind (__grapnel_find "$at" flag "$word" | string split -f 4 '|')
                if test -n "$kind" -a "$kind" != none
                    set skip 1
                    set flag $word
                end
            case '*'
                if test -n "$(__grapnel_find "$at" command "$word")"
                    set at "$at $word"
                end
        end
    end
    if test $skip = 1
        __grapnel_value "$(__grapnel_find "$at" flag "$flag")" ''
        return
    end
    if string match -q -- '--*=*' "$cur"
        set flag (string split -m1 -f 1 = -- "$cur")
        __grapnel_value "$(__grapnel_find "$at" flag "$flag")" "$flag="
        return
    end
    set -l what command
    string match -q -- '-*' "$cur"; and set what flag
    set -l lines (__grapnel_find "$at" $what)
    for line in $lines
        set -l f (string split '|' -- $line)
        printf '%s\t%s\n' $f[3] $f[6]
    end
    if test -z "$lines"
        __grapnel_value "$(__grapnel_find "$at" argument '')" ''
    end
end

function __grapnel_find
    for line in (string split \n -- $__grapnel_table)
        set -l f (string split '|' -- $line)
        test "$f[1]" = "$argv[1]" -a "$f[2]" = "$argv[2]"; or continue
        test (count $argv) -lt 3; or test "$f[3]" = "$argv[3]"; and echo $line
    end
end

function __grapnel_value
    set -l f (string split '|' -- $argv[1])
    switch "$f[4]"
        case words
            for v in (string split ' ' -- $f[5])
                echo $argv[2]$v
            end
        case file folder
            __fish_complete_path (commandline -ct)
    end
end

complete -c grapnel -f -a '(__grapnel_complete)'
