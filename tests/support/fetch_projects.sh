#!/bin/sh
# Fetch the projects that tests/real/projects sets up, as they were published: fetch_projects.sh FOLDER PYTHON.
# Packages are unpacked, not installed. It needs pip, npm and, on Debian, apt-get; without apt-get the projects in Go, Rust and C are left out.
set -eu
PYASN1=0.6.1 PYTEST=9.2.0 FREEZEGUN=1.5.5 HUMANIZE=4.12.3 FASTIFY_ERROR=4.3.0 QUOTE_STREAM=1.0.2
mkdir -p "$1"
folder=$(cd "$1" && pwd)
python=$2
work=$folder/work
rm -rf "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
cd "$work"

# place NAME FOLDER: make FOLDER the project NAME.
place() {
	rm -rf "${folder:?}/$1"
	mv "$2" "$folder/$1"
}
sdist() {
	"$python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest . "$1==$2"
	tar -xzf "$1-$2.tar.gz"
	place "$1" "$1-$2"
}
tarball() {
	npm pack --silent "$2" >/dev/null
	mkdir "$1"
	tar -xzf "$3" -C "$1" --strip-components=1 --no-same-owner
	place "$1" "$1"
}

sdist pyasn1 $PYASN1
sdist humanize $HUMANIZE
# What a person installs to test it.
"$python" -m venv --clear "$folder/humanize-tools"
"$folder/humanize-tools/bin/python" -m pip install --quiet --disable-pip-version-check pytest==$PYTEST freezegun==$FREEZEGUN
tarball fastify-error @fastify/error@$FASTIFY_ERROR fastify-error-$FASTIFY_ERROR.tgz
tarball quote-stream quote-stream@$QUOTE_STREAM quote-stream-$QUOTE_STREAM.tgz
# A published package has no lockfile; its repository has.
(cd "$folder/quote-stream" && npm install --package-lock-only --silent --no-audit --no-fund)

if command -v apt-get >/dev/null; then
	for package in golang-github-cespare-xxhash-dev librust-unicode-normalization-dev librust-smallvec-dev; do
		apt-get -qq -o APT::Sandbox::User=root download "$package"
		dpkg-deb -x "$package"_*.deb debian
	done
	place xxhash debian/usr/share/gocode/src/github.com/cespare/xxhash
	# As 'cargo vendor' leaves it.
	crates=debian/usr/share/cargo/registry
	mv $crates/unicode-normalization-* crate
	rm -rf crate/debian crate/.cargo-checksum.json
	mkdir -p crate/vendor crate/.cargo
	mv $crates/smallvec-* crate/vendor/
	printf '[source.crates-io]\nreplace-with = "vendored-sources"\n\n[source.vendored-sources]\ndirectory = "vendor"\n' \
		>crate/.cargo/config.toml
	(cd crate && cargo generate-lockfile --quiet --offline)
	place unicode-normalization crate

	# The mirror and the release are those of this machine.
	mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 'Origin: Debian' |
		grep -v -e security -e updates -e backports | head -n 1)
	printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "${mirror% *}" "${mirror#* }" \
		/usr/share/keyrings/debian-archive-keyring.gpg >debian.sources
	set -- -qq -o Dir::Etc::sourcelist="$work/debian.sources" -o Dir::Etc::sourceparts=/nonexistent \
		-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root
	apt-get "$@" update
	apt-get "$@" source --download-only cjson
	tar -xzf cjson_*.orig.tar.gz
	place cjson cJSON-*
fi
cd /
rm -rf "$work"
