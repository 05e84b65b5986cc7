# SPDX-License-Identifier: GPL-2.0
# The one place that has memview's version is the first line of the packages' changelog.
MEMVIEW_VERSION ?= $(shell sed -n '1s/.*(\(.*\)).*/\1/p' $(TOP)/scripts/deb/debian/changelog)
