# git-planner: completion of git-iterate for fish, and of git iterate once this has been loaded.
function __git_iterate_fill
    set -l pattern '^\s*git(\s.*?)?\siterate(?=\s)'
    set -l words (string replace -r $pattern git-iterate -- (commandline -cp))
    for line in (COMP_WORDS="$words" COMP_CWORD=(commandline -ct) _GIT_ITERATE_COMPLETE=fish_complete \
            git iterate 2>/dev/null)
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

complete -c git-iterate -f -a '(__git_iterate_fill)'
complete -c git -f -n '__fish_git_using_command iterate' -a '(__git_iterate_fill)'
