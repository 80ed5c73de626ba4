#!/bin/sh
# Builds build/tocsin_VERSION_ARCHITECTURE.deb out of what `make install` lays out; `make deb` calls it.
set -eu
umask 022
cd "$(dirname "$0")/.."

tree=build/deb
python=${VENV:-.venv}/bin/python
version=$($python -c 'from daemon import VERSION; print(VERSION)')
minor=$($python -c 'import sys; print(sys.version_info.minor)')
architecture=$(dpkg --print-architecture)
rm -rf $tree
DESTDIR=$PWD/$tree PREFIX=/usr INTERPRETER=/usr/bin/python3.$minor sh systemd/install.sh install
mkdir $tree/DEBIAN
cat >$tree/DEBIAN/control <<END
Package: tocsin
Version: $version
Architecture: $architecture
Maintainer: Tocsin <tocsin@localhost>
Installed-Size: $(du -ks $tree/usr | cut -f1)
Depends: python3.$minor, systemd, procps
Section: admin
Priority: optional
Description: Watches a site's logs and rings when something is wrong
 Takes records from syslog, OTLP, files and the journal, learns what is normal,
 and pushes every event, alert and heartbeat to a dashboard that it serves.
END
echo /etc/tocsin/tocsin.toml >$tree/DEBIAN/conffiles
for script in postinst prerm postrm; do
  install -m 755 systemd/debian/$script $tree/DEBIAN/$script
done
dpkg-deb --root-owner-group --build $tree "build/tocsin_${version}_$architecture.deb"
