#!/bin/sh
# Lock every service's requirements, and the checkout's own, with hashes and no index address.
set -eu
cd "$(dirname "$0")/.."
uv="${UV:-uv}"
compile() {
    "$uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-emit-index-url \
        --override requirements/overrides.txt "$@"
}
packages="alta-common alta-gateway alta-identity alta-projects alta-ocr alta-transcription alta-notifications alta-outbox-relay"
skip=""
for package in $packages; do skip="$skip --no-emit-package $package"; done
editable="-e libs/common"
for folder in services/*; do editable="$editable
-e $folder"; done
input=$(mktemp --suffix=.in -p requirements)
trap 'rm -f "$input"' EXIT
{ cat requirements/dev.in; printf '%s\n' "-e ./libs/common[db,google,http,messaging,redis,storage]"; for f in services/*; do printf -- '-e ./%s\n' "$f"; done; } > "$input"
compile $skip "$input" -o requirements/dev.txt
sed -i "s#$input#requirements/dev.in#" requirements/dev.txt
compile requirements/build.in -o requirements/build.txt
for folder in services/*; do
    name=$(basename "$folder")
    printf -- "-e ./libs/common\n-e ./%s\n-c dev.txt\n" "$folder" > "$input"
    compile $skip "$input" -o "requirements/$name.txt"
done
