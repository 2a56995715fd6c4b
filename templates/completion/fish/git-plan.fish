# git-planner: completion of git-plan for fish, and of git plan once this has been loaded.
function __git_plan_fill
    set -l pattern '^\s*git(\s.*?)?\splan(?=\s)'
    set -l words (string replace -r $pattern git-plan -- (commandline -cp))
    for line in (COMP_WORDS="$words" COMP_CWORD=(commandline -ct) _GIT_PLAN_COMPLETE=fish_complete \
            git plan 2>/dev/null)
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

complete -c git-plan -f -a '(__git_plan_fill)'
complete -c git -f -n '__fish_git_using_command plan' -a '(__git_plan_fill)'
