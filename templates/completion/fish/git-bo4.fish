# git-planner: completion of git-bo4 for fish, and of git bo4 once this has been loaded.
function __git_bo4_fill
    set -l pattern '^\s*git(\s.*?)?\sbo4(?=\s)'
    set -l words (string replace -r $pattern git-bo4 -- (commandline -cp))
    for line in (COMP_WORDS="$words" COMP_CWORD=(commandline -ct) _GIT_BO4_COMPLETE=fish_complete \
            git bo4 2>/dev/null)
        set -l parts (string split -m 1 , -- $line)
        switch $parts[1]
            case plain
                echo $parts[2]
            case dir
                __fish_complete_directories (commandline -ct)
            case file
                __fish_complete_path (commandline -ct)
        end
    end
end

complete -c git-bo4 -f -a '(__git_bo4_fill)'
complete -c git -f -n '__fish_git_using_command bo4' -a '(__git_bo4_fill)'
