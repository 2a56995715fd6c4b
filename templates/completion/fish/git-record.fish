# git-planner: completion of git-record for fish, and of git record once this has been loaded.
function __git_record_fill
    set -l pattern '^\s*git(\s.*?)?\srecord(?=\s)'
    set -l words (string replace -r $pattern git-record -- (commandline -cp))
    for line in (COMP_WORDS="$words" COMP_CWORD=(commandline -ct) _GIT_RECORD_COMPLETE=fish_complete \
            git record 2>/dev/null)
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

complete -c git-record -f -a '(__git_record_fill)'
complete -c git -f -n '__fish_git_using_command record' -a '(__git_record_fill)'
