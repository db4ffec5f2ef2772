# PowerShell completion for grapnel: run this script in your profile.

$script:GrapnelTable = @'
@TABLE@
'@ -split "`r?`n"

Register-ArgumentCompleter -Native -CommandName grapnel -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $at = 'grapnel'
    $flag = $null
    $find = {
        param($path, $what, $word)
        foreach ($line in $script:GrapnelTable) {
            $f = $line -split '\|'
            if ($f[0] -ceq $path -and $f[1] -ceq $what -and ($null -eq $word -or $f[2] -ceq $word)) { , $f }
        }
    }
    $words = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition -or ($wordToComplete -eq '' -and $_.Extent.EndOffset -le $cursorPosition) } | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
    foreach ($word in $words) {
        if ($flag) { $flag = $null; continue }
        if ($word -like '-*') {
            $f = @(& $find $at 'flag' $word)
            if ($f.Count -gt 0 -and $f[0][3] -ne 'none') { $flag = $f[0] }
        } elseif (@(& $find $at 'command' $word).Count -gt 0) {
            $at = "$at $word"
        }
    }
    $offer = {
        param($f, $prefix)
        if ($f[3] -eq 'words') {
            $f[4] -split ' ' | Where-Object { "$prefix$_" -like "$wordToComplete*" } | ForEach-Object {
                [System.Management.Automation.CompletionResult]::new("$prefix$_", $_, 'ParameterValue', $_)
            }
        }
    }
    if ($flag) { & $offer $flag ''; return }
    if ($wordToComplete -match '^(--[^=]+)=') {
        $f = @(& $find $at 'flag' $Matches[1])
        if ($f.Count -gt 0) { & $offer $f[0] "$($Matches[1])=" }
        return
    }
    $what = if ($wordToComplete -like '-*') { 'flag' } else { 'command' }
    $lines = @(& $find $at $what $null)
    foreach ($f in $lines) {
        if ($f[2] -like "$wordToComplete*") {
            [System.Management.Automation.CompletionResult]::new($f[2], $f[2], 'ParameterName', $f[5])
        }
    }
    if ($lines.Count -eq 0) {
        $f = @(& $find $at 'argument' $null)
        if ($f.Count -gt 0) { & $offer $f[0] '' }
    }
}
