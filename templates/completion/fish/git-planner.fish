# git-planner: completion of git-planner for fish, and of git planner once this has been loaded.
function __git_planner_fill
    set -l pattern '^\s*git(\s.*?)?\splanner(?=\s)'
    set -l words (string replace -r $pattern git-planner -- (commandline -cp))
    for line in (COMP_WORDS="$words" COMP_CWORD=(commandline -ct) _GIT_PLANNER_COMPLETE=fish_complete \
            git planner 2>/dev/null)
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

complete -c git-planner -f -a '(__git_planner_fill)'
complete -c git -f -n '__fish_git_using_command planner' -a '(__git_planner_fill)'
