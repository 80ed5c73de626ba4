#!/bin/sh
# Lays Tocsin out below DESTDIR, or takes it away again; `make install` and `make uninstall` call it.
#
#   PREFIX/lib/tocsin                the code and its pinned libraries, nobody else's
#   PREFIX/bin/tocsin                the command
#   PREFIX/share/doc/tocsin          the pages, the licence, a configuration to begin with
#   UNITS/systemd/system, UNITS/sysusers.d, UNITS/tmpfiles.d
#   /etc/tocsin/tocsin.toml          only if there is none
#
# UNITS is PREFIX/lib where systemd looks there, else /etc. Nothing is written into the source tree.
set -eu
umask 022
cd "$(dirname "$0")/.."

action=$1
python=${VENV:-.venv}/bin/python
: "${PREFIX:=/usr/local}" "${DESTDIR:=}"
case $PREFIX in
  /usr | /usr/local) units=$PREFIX/lib ;;
  /*) units=/etc ;;
  *) echo "tocsin: PREFIX=$PREFIX is not an absolute path" >&2; exit 2 ;;
esac
lib=$PREFIX/lib/tocsin
doc=$PREFIX/share/doc/tocsin

# systemd runs here, and it is this machine that is meant.
live() { [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; }

lay_code() {
  new=$DESTDIR$lib.new
  rm -rf "$new"
  mkdir -p "$new"
  $python -m pip --disable-pip-version-check --quiet install --no-compile --no-deps --require-hashes \
    --target "$new" -r requirements.lock
  # What only building needs, and commands that would run another interpreter.
  rm -rf "$new"/bin "$new"/setuptools* "$new"/pkg_resources "$new"/_distutils_hack "$new"/distutils-precedence.pth
  tar -c --exclude=__pycache__ protocol actors daemon | tar -x --no-same-owner -C "$new"
  $python -m compileall -q -s "$new" -p "$lib" "$new"
  chmod -R u=rwX,go=rX "$new"
  rm -rf "$DESTDIR$lib"
  mv "$new" "$DESTDIR$lib"
}

lay_command() {
  : "${INTERPRETER:=$($python -c 'import os, sys; print(os.path.realpath(sys._base_executable))')}"
  mkdir -p "$DESTDIR$PREFIX/bin"
  cat >"$DESTDIR$PREFIX/bin/tocsin" <<END
#!$INTERPRETER -I
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib" / "tocsin"))

from daemon.cli import main

sys.exit(main())
END
  chmod 755 "$DESTDIR$PREFIX/bin/tocsin"
  case $INTERPRETER in
    /root/* | /home/*) echo "tocsin: the service cannot run $INTERPRETER, in a home directory: make clean, then again with" \
      "PYTHON=/usr/bin/python3" >&2 ;;
  esac
}

lay_units() {
  mkdir -p "$DESTDIR$units/systemd/system" "$DESTDIR$units/sysusers.d" "$DESTDIR$units/tmpfiles.d"
  for unit in tocsin.service tocsin-syslog.socket; do
    sed "s|/usr/local|$PREFIX|g" "systemd/$unit" >"$DESTDIR$units/systemd/system/$unit"
  done
  install -m 644 systemd/tocsin.sysusers "$DESTDIR$units/sysusers.d/tocsin.conf"
  install -m 644 systemd/tocsin.tmpfiles "$DESTDIR$units/tmpfiles.d/tocsin.conf"
}

lay_pages() {
  mkdir -p "$DESTDIR$doc/docs" "$DESTDIR/etc/tocsin"
  install -m 644 README.md CHANGELOG.md LICENSE systemd/tocsin.toml "$DESTDIR$doc"
  install -m 644 docs/*.md "$DESTDIR$doc/docs"
  [ -e "$DESTDIR/etc/tocsin/tocsin.toml" ] || install -m 640 systemd/tocsin.toml "$DESTDIR/etc/tocsin/tocsin.toml"
}

case $action in
  install)
    lay_code
    lay_command
    lay_units
    lay_pages
    if live; then
      systemd-sysusers "$units/sysusers.d/tocsin.conf"
      systemd-tmpfiles --create "$units/tmpfiles.d/tocsin.conf"
      systemctl daemon-reload
      echo "Installed. Next: systemctl enable --now tocsin-syslog.socket tocsin.service"
    fi
    ;;
  uninstall)
    if live; then
      systemctl disable --quiet --now tocsin-syslog.socket tocsin.service || true
    fi
    rm -rf "$DESTDIR$lib" "$DESTDIR$doc"
    rm -f "$DESTDIR$PREFIX/bin/tocsin" \
      "$DESTDIR$units/systemd/system/tocsin.service" "$DESTDIR$units/systemd/system/tocsin-syslog.socket" \
      "$DESTDIR$units/sysusers.d/tocsin.conf" "$DESTDIR$units/tmpfiles.d/tocsin.conf"
    if live; then
      systemctl daemon-reload
      echo "Removed. /etc/tocsin, /var/lib/tocsin and the user tocsin are left."
    fi
    ;;
  *) echo "usage: install.sh install|uninstall" >&2; exit 2 ;;
esac
