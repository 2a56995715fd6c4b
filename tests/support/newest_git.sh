#!/bin/sh
# Build the newest git of Debian's development branch: newest_git.sh FOLDER makes FOLDER/bin/git.
# It needs apt-get, a C compiler, make and zlib's header; the system's own packages and lists stay as they are.
set -eu
target=$1
work=$target-source
rm -rf "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
command -v apt-get >/dev/null || {
	echo "error: apt-get is needed to fetch git's source" >&2
	echo "hint: put another git first on PATH and run 'make test'" >&2
	exit 1
}
# The mirror is the one that this machine uses for its own release.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 'Origin: Debian' |
	grep -v -e security -e updates -e backports | head -n 1)
[ -n "$mirror" ] || { echo "error: apt-get knows no mirror of Debian; run 'apt-get update'" >&2; exit 1; }
printf 'Types: deb-src\nURIs: %s\nSuites: sid\nComponents: main\nSigned-By: %s\n' "${mirror% *}" \
	/usr/share/keyrings/debian-archive-keyring.gpg >"$work/debian.sources"
apt() {
	command apt-get -qq -o Dir::Etc::sourcelist="$work/debian.sources" -o Dir::Etc::sourceparts=/nonexistent \
		-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}
work=$(cd "$work" && pwd)
apt update
cd "$work"
apt source --download-only git
mkdir code
tar -xJf git_*.orig.tar.xz -C code --strip-components=1
cd code
# Without what the tests do not need, and with little optimization: two minutes on two cores.
nice make -s -j2 CFLAGS=-O1 prefix="$(dirname "$work")/$(basename "$target")" INSTALL_SYMLINKS=1 NO_RUST=1 NO_GETTEXT=1 \
	NO_TCLTK=1 NO_PERL=1 NO_PYTHON=1 NO_CURL=1 NO_EXPAT=1 NO_OPENSSL=1 install >"$work/build.log" 2>&1 ||
	{ tail -n 20 "$work/build.log" >&2; exit 1; }
cd /
rm -rf "$work"
