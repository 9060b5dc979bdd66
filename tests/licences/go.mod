module sluice/tests/licences

go 1.26.0

require (
	github.com/BurntSushi/toml v1.6.0
	github.com/github/go-spdx/v2 v2.8.0
	github.com/google/licensecheck v0.3.1
	golang.org/x/mod v0.43.0
)
