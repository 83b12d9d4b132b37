#!/usr/bin/env bash
# Writes dist/imbulk-VERSION-TARGET.tar.gz and its SHA-256 checksum, for the machine that the script runs on. The archive
# of one binary always has the same bytes.
#   IMBULK_PROFILE  cargo profile; `release` by default, `dev` to try the script
#   IMBULK_BINARY   a binary that was built before; nothing is built then
#   IMBULK_DIST     folder of the result; `dist` by default
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${IMBULK_PROFILE:-release}
dist=${IMBULK_DIST:-dist}
binary=${IMBULK_BINARY:-}
if [[ -z $binary ]]; then
    # The paths of this machine are no part of a release. Other flags would compile a build for a trial completely anew.
    if [[ $profile == release ]]; then
        export RUSTFLAGS="--remap-path-prefix=$PWD=imbulk --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
    fi
    cargo build --profile "$profile" --locked --bin imbulk
    folder=$profile
    [[ $profile == dev ]] && folder=debug
    binary=${CARGO_TARGET_DIR:-target}/$folder/imbulk
fi

version=$("$binary" --version)
target=$(rustc -vV | sed -n 's/^host: //p')
name=imbulk-${version#imbulk }-$target
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stage=$work/$name

mkdir -p "$stage/completions" "$dist"
strip -o "$stage/imbulk" "$binary"
cp README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT "$stage"
cp -r docs jobs deploy/systemd deploy/crontab "$stage"
"$binary" man --output "$stage/man/man1"
"$binary" completions bash >"$stage/completions/imbulk"
"$binary" completions zsh >"$stage/completions/_imbulk"
"$binary" completions fish >"$stage/completions/imbulk.fish"
find "$stage" -type f -exec chmod 644 {} +
find "$stage" -type d -exec chmod 755 {} +
chmod 755 "$stage/imbulk"

# Sorted names, one time, one owner, and no time in the header of gzip: the same files give the same bytes.
moment=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
tar --create --directory "$work" --sort=name --mtime="@$moment" --owner=0 --group=0 --numeric-owner --format=ustar \
    "$name" | gzip --no-name --best >"$dist/$name.tar.gz"
(cd "$dist" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "$dist/$name.tar.gz"
