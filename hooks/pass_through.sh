
has_theirs || exit 0
restore_hooks_path
exec "$theirs" "$@"
