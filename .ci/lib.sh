# SPDX-License-Identifier: Apache-2.0
# Shared by quickstart and run-tests: which Debian packages are needed, and installing those that are missing without
# letting any of them start a service. To be sourced with $top set to the checkout and $log to a file for long output.
# shellcheck shell=bash disable=SC2034

: "${log:=/dev/stderr}"

PACKAGES_BUILD=(gcc libc6-dev cmake ninja-build pkg-config libevent-dev librabbitmq-dev libcurl4-openssl-dev
	libssl-dev libjansson-dev libyaml-dev libsqlite3-dev libpq-dev libzstd-dev libini-config-dev libpopt-dev libsodium-dev libbsd-dev
	libjq-dev libonig-dev uthash-dev scdoc)
PACKAGES_RUN=(rabbitmq-server procps iproute2 facter jq)
# For run-tests, beside the others.
PACKAGES_TEST=(ccache clang clang-format shellcheck mandoc libcmocka-dev libclang-rt-dev ohai git ca-certificates
	binutils openssl strace faketime postgresql
	python3 python3-pytest python3-pytest-xdist python3-pika python3-yaml systemd libnss-systemd man-db)

# For fresh roots of both releases.
PACKAGES_ROOTS=(debootstrap systemd-container)
ROOTS=${VOGELER_TEST_ROOTS:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vogeler-roots}

# The library of the clients of 2010: in Debian until 12, whose RabbitMQ is the last that it can connect to. Since 13
# promtool comes without Prometheus.
if grep -q '^VERSION_CODENAME=bookworm$' /etc/os-release; then
	PACKAGES_TEST+=(python3-amqplib prometheus)
else
	PACKAGES_TEST+=(promtool)
fi

# What the caller's service manager and shell said to the caller is not for what is started here: a broker that tells a
# stranger's systemd that it is ready, an agent that finds the broker of the real fleet.
unset NOTIFY_SOCKET WATCHDOG_PID WATCHDOG_USEC LISTEN_PID LISTEN_FDS LISTEN_FDNAMES CREDENTIALS_DIRECTORY
unset VOGELER_CONFIG VOGELER_QHOST VOGELER_DBHOST

tty=false
[ ! -t 2 ] || tty=true

# Progress, a line a step, apart from the result: that is what the reader of a pipe wants. Nothing ends because nobody reads
# it, or has room for it.
say()
{
	printf '%s\n' "$*" >&2 || true
}

# One sentence about what is missing, and the end.
die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# Prints the packages of $@ that are not installed.
missing_packages()
{
	local package
	for package in "$@"; do
		if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
			echo "$package"
		fi
	done
}

# A node's name is to be on it; a root that debootstrap made has no /etc/hosts.
localhost_is_known()
{
	getent ahostsv4 localhost 2>/dev/null | grep -q '^127\.' ||
		die "nothing on this machine knows the name 'localhost', which RabbitMQ needs; as root: echo '127.0.0.1 localhost' >>/etc/hosts"
}

POLICY=/usr/sbin/policy-rc.d
POLICY_SAVED=/usr/sbin/policy-rc.d.before-vogeler

# invoke-rc.d and deb-systemd-invoke ask this script whether a package may start its service.
hold_services()
{
	as_root sh -ec "
		if [ -e $POLICY_SAVED ]; then exit 0; fi
		if [ -e $POLICY ] || [ -L $POLICY ]; then mv -T $POLICY $POLICY_SAVED; else : >$POLICY_SAVED.none; fi
		printf '#!/bin/sh\nexit 101\n' >$POLICY
		chmod 755 $POLICY"
}

release_services()
{
	as_root sh -ec "
		if [ -e $POLICY_SAVED ] || [ -L $POLICY_SAVED ]; then mv -T $POLICY_SAVED $POLICY
		elif [ -e $POLICY_SAVED.none ]; then rm -f $POLICY $POLICY_SAVED.none; fi"
}

apt_get()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1 </dev/null
}

# Whether the package lists are there and at most a day old.
apt_lists_are_fresh()
{
	[ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -mtime -1 -print -quit 2>/dev/null)" ]
}

install_packages()
{
	local missing unit new_service=()
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		die "this needs Debian 12 or 13: there is no apt-get here to install packages with."
	fi
	mapfile -t missing < <(missing_packages "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	say "==> installing ${#missing[@]} Debian packages: ${missing[*]}"
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null ||
			die "packages are missing and neither are you root nor is there sudo; as root: apt-get install ${missing[*]}"
		sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; } ||
			die "packages are missing and sudo does not let you install them; as root: apt-get install ${missing[*]}"
	fi
	[ "$(missing_packages rabbitmq-server)" = "" ] || new_service+=(rabbitmq-server.service)
	[ "$(missing_packages postgresql)" = "" ] || new_service+=(postgresql.service)
	[ "$(missing_packages prometheus)" = "" ] || new_service+=(prometheus.service)
	[ "$(missing_packages erlang-base)" = "" ] || new_service+=(epmd.service epmd.socket)
	if ! apt_lists_are_fresh; then
		apt_get update || die "the Debian package servers cannot be reached (no network?); see $log"
	fi
	local installed=true
	hold_services
	# Whatever happens, Ctrl-C included: back as it was.
	trap 'release_services' EXIT
	if ! apt_get install --no-install-recommends "${missing[@]}"; then
		# The lists may be of an older day than the servers.
		apt_get update || true
		apt_get install --no-install-recommends "${missing[@]}" || installed=false
	fi
	trap - EXIT
	release_services
	$installed || die "apt-get could not install ${missing[*]} (no network?); see $log"
	# The broker and the database server that came just now are for private ones of ours, and of Prometheus we want promtool:
	# they shall not start at the next boot either. (Without systemctl there is no systemd to start them.)
	if command -v systemctl >/dev/null; then
		# One by one: those that did not come are no units.
		for unit in "${new_service[@]}"; do
			as_root systemctl disable "$unit" >>"$log" 2>&1 || true
		done
	fi
}

# run_logged TEXT COMMAND...: output to $log, its last line as progress on a terminal. A failure shows the log's end.
run_logged()
{
	local text=$1 width
	shift
	say "==> $text"
	if $tty; then
		width=$(($(tput cols 2>/dev/null || echo 80) - 1))
		if "$@" 2>&1 </dev/null | tee -a "$log" | while IFS= read -r line; do
			printf '\r\033[K%s' "${line:0:$width}" >&2
		done; [ "${PIPESTATUS[0]}" = 0 ]; then
			printf '\r\033[K' >&2
			return 0
		fi
		printf '\r\033[K' >&2
	elif "$@" >>"$log" 2>&1 </dev/null; then
		return 0
	fi
	tail -n 30 "$log" >&2
	return 1
}
