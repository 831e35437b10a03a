#!/bin/sh
# Makes, once, the tokens that the compose file's parts send to Deltafold: for the proxy before the console, which only this machine
# reaches, and for Prometheus. `lines` is Deltafold's `http.tokens_file`; each other file is the token of who bears its name.
set -eu
cd /tokens
[ -e lines ] && exit 0
token() {
    deltafold token "$1" --rights "$2" > said
    sed -n 's/^token *//p' said | tr -d '\n' > "$1"
    sed -n 's/^line *//p' said >> new-lines
    rm said
}
rm -f new-lines
token console admin
token prometheus read
mv new-lines lines
