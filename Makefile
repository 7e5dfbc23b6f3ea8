# The only way that people and CI build, test and show bkp.

TARGET := $(shell uname -m)-unknown-linux-gnu
CARGO ?= cargo
# ISA-L packs dumps fastest, and is built with these; without them everything works, and a backup takes longer.
FEATURES = $(shell nasm -v >/dev/null 2>&1 && autoreconf --version >/dev/null 2>&1 && libtoolize --version >/dev/null 2>&1 && echo --features isal)
# With cargo-auditable the binary holds the list of its crates, some kilobytes, for those who look for known faults in it.
AUDITABLE = $(shell $(CARGO) auditable --version >/dev/null 2>&1 && echo auditable)

.DEFAULT_GOAL := help
.PHONY: help build release images demo man test damage faults test-kills simulate test-systemd test-images test-kubernetes fuzz lint deny msrv bench bench-growth load bench-lexer bench-keep install-parts build-parts clean

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | awk -F'\t' '{ printf "  make %-14s %s\n", $$1, $$2 }'

# Static: the binary runs in an image that holds nothing else. A target is named so that build scripts stay dynamic.
build: build-parts ## the static release binary
	RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) $(AUDITABLE) build --locked --release --target $(TARGET) $(FEATURES)
	@echo "target/$(TARGET)/release/bkp"

# Two whole builds: ten minutes on two quiet cores.
release: build-parts ## target/release-NAME: the binary built twice and compared, its sums, its crates, licences and notes (release/build)
	release/build

images: build ## container images, with podman: backup-restore, and one for each application of images/
	IMAGES_SBOM=target/backup-restore.spdx.json images/build target/$(TARGET)/release/bkp

demo: build-parts ## backs up a real database, breaks it, restores it, compares
	CARGO_FLAGS="--locked $(FEATURES)" demo/run

man: build-parts ## manual pages, into target/man; the images hold none
	$(CARGO) run --locked --quiet $(FEATURES) -- man target/man
	@echo "man -l target/man/bkp.1"

# They wait for servers and for restic more than they compute: three at a time on two cores take two thirds of the time of two.
test: install-parts ## all tests, against real servers
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$(( $$(nproc) * 3 / 2 ))} $(CARGO) test --locked $(FEATURES)

# One restore for each call that changes something, killed before it: some ten minutes.
test-kills: install-parts ## restores killed at every point instead of some; prints how many, and what came of them
	BKP_TEST_ALL_KILLS=1 $(CARGO) test --locked $(FEATURES) --test all -- items::deaths items::table_deaths --nocapture

# For each history of the binary twenty that need no program. BKP_SEED is the first of them.
simulate: install-parts ## random histories against a model: BKP_SEEDS (40) by the binary, twenty times as many without programs
	BKP_SEEDS=$$(( $${BKP_SEEDS:-40} * 20 )) $(CARGO) test --locked $(FEATURES) --lib simulation -- --nocapture
	BKP_SEEDS=$${BKP_SEEDS:-40} $(CARGO) test --locked $(FEATURES) --test all -- simulation --nocapture

# `make test` takes some damages of each kind of thing, this all: some ten minutes.
damage: install-parts ## every stored thing damaged in every way, against every command that reads it; prints the matrix
	BKP_TEST_ALL_DAMAGE=1 $(CARGO) test --locked $(FEATURES) --test all -- damage::bucket damage::restic damage::here --nocapture

# Every fault at every step: a thousand runs and more. BKP_FAULTS=5 takes one cell in five, BKP_FAULTS_STORY="restore, restic" and
# BKP_FAULTS_ONLY="Term at" those whose words hold that, BKP_FAULTS_WIDTH how many at once (2).
faults: install-parts ## all that can go wrong, at every step of every command; prints the matrix with counts; needs root
	BKP_FAULTS=$${BKP_FAULTS:-all} $(CARGO) test --locked $(FEATURES) --test all -- faults::whatever --nocapture

test-systemd: build-parts ## the units of systemd/, run in a booted systemd; needs root
	$(CARGO) build --locked $(FEATURES)
	tests/systemd/run

# A whole build twice: some five minutes.
test-images: build ## the images with podman, shut in as in a cluster, and built twice; needs root
	tests/images/run target/$(TARGET)/release/bkp

# The first run builds Kubernetes and a Debian for the images: some ten minutes. Then half an hour for all scenarios on two busy cores, spent on
# pods that come and go; BKP_SCENARIO=nightly plays one, "@(cut|exec)" two.
test-kubernetes: build ## images and manifests on a real Kubernetes of one node; needs root
	tests/kubernetes/run target/$(TARGET)/release/bkp

# What `make test` does for seconds, on libFuzzer; needs a nightly compiler and cargo-fuzz.
fuzz: build-parts ## the readers of foreign bytes, BKP_FUZZ_MINUTES each (8); BKP_FUZZ_ONLY="lexer seal" some (fuzz/run)
	fuzz/run

lint: build-parts ## format and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets $(FEATURES) -- -D warnings

deny: ## licences, bans, duplicates and sources of all crates; advisories where they can be had; needs cargo-deny
	release/deny

# The compiler that Cargo.toml names, and no other.
MSRV = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
msrv: build-parts ## builds with the oldest compiler that bkp says it needs
	$(CARGO) +$(MSRV) check --locked --all-targets $(FEATURES)

bench: ## bkp beside its rivals on the same data; BKP_BENCH_MB, _ROUNDS, _MINUTES, _ONLY (benches/run)
	benches/run

bench-growth: ## time and memory against size, tables and backups; start-up, list, binary (benches/growth)
	benches/growth

# An hour and 25 GB of disk; BKP_LOAD_ONLY="pipe writing" is a quarter of an hour.
load: ## much of everything: a large database, 10,000 tables, a row of 500 MB, 50,000 objects, a million files, a dump of 100 GB (benches/load)
	benches/load

# With the release's settings, so that it measures what users run. A FILTER names what is measured, such as `rewrite`.
bench-lexer: ## bytes a second of the lexer, the first reading and the rewriter, on one core (benches/lexer)
	$(CARGO) bench --locked --bench lexer -- $(FILTER)

bench-keep: ## takes the newest result of `make bench` as the one that the README's chart is drawn from
	cp "$$(ls benches/results/2*.json | tail -n 1)" benches/result.json
	benches/chart.py benches/result.json >benches/chart.svg

install-parts: build-parts ## the servers and clients that tests need
	tests/support/install

build-parts:
	@tests/support/install --build

clean: ## what was built; the fetched servers stay
	$(CARGO) clean
