// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_qtest.c - QEMU whose guest is the test; vhost_qtest.h describes it
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "vhost_qtest.h"

#include <poll.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

#define PATIENCE_MS	60000
#define DEVFN		(4 << 3)
#define REGISTERS	(3 * GiB) /* where BARs that are no windows go */

/* scripts/sdk puts it there, and none that is older. It is not installed, so it does not find its modules by itself. */
#define BACKPORTS "/opt/backports/usr/bin/qemu-system-x86_64"
#define AS_BACKPORTS "QEMU_MODULE_DIR=/opt/backports/usr/lib/x86_64-linux-gnu/qemu " BACKPORTS

/* To run QEMU for its version takes as long as to start a machine. */
const char *qtest_qemu(void)
{
	if (!access(BACKPORTS, X_OK))
		return AS_BACKPORTS;
	if (!system("qemu-system-x86_64 --version 2>/dev/null | grep -qE 'version (1[1-9]|[2-9][0-9])\\.'"))
		return "qemu-system-x86_64";
	return NULL;
}

/* As much of a line as is there; what is behind its end is left in the socket. */
static ssize_t read_some(int sock, char *at, size_t size)
{
	ssize_t got = recv(sock, at, size, MSG_PEEK);
	char *end = got > 0 ? memchr(at, '\n', got) : NULL;

	return got <= 0 ? got : recv(sock, at, end ? end + 1 - at : got, 0);
}

/* A line, without its end. */
static int read_line(int sock, char *line, size_t size)
{
	struct pollfd fd = { sock, POLLIN, 0 };
	size_t used = 0;
	ssize_t got;

	while (used < size) {
		if (poll(&fd, 1, PATIENCE_MS * slowness()) != 1)
			return -ETIMEDOUT;
		got = read_some(sock, line + used, size - used);
		if (got <= 0)
			return got && errno != ECONNRESET ? -errno : -EPIPE;
		used += got;
		if (line[used - 1] == '\n') {
			line[used - 1] = '\0';
			return 0;
		}
	}
	return -EMSGSIZE;
}

/* A command of the protocol; what comes behind the "OK" is put at @answer. */
static int ask(struct qtest *qtest, char *answer, size_t size, const char *format, ...)
{
	char command[128];
	va_list args;
	int err;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (send(qtest->sock, command, strlen(command), MSG_NOSIGNAL) < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	err = read_line(qtest->sock, answer, size);
	if (err)
		return err;
	if (strncmp(answer, "OK", 2)) {
		printf("# qtest: %s: %s\n", command, answer);
		return -EPROTO;
	}
	memmove(answer, answer + 2, strlen(answer + 2) + 1);
	return 0;
}

static int ask_number(struct qtest *qtest, uint64_t *value, const char *op, uint64_t address)
{
	char answer[64];
	int err = ask(qtest, answer, sizeof(answer), "%s 0x%lx\n", op, address);

	*value = err ? 0 : strtoul(answer, NULL, 0);
	return err;
}

static int tell(struct qtest *qtest, const char *op, uint64_t address, uint64_t value)
{
	char answer[64];

	return ask(qtest, answer, sizeof(answer), "%s 0x%lx 0x%lx\n", op, address, value);
}

int qtest_read(struct qtest *qtest, uint64_t address, uint64_t *value)
{
	return ask_number(qtest, value, "readq", address);
}

int qtest_write(struct qtest *qtest, uint64_t address, uint64_t value)
{
	return tell(qtest, "writeq", address, value);
}

/* ---- PCI ---- */

static int config_select(struct qtest *qtest, unsigned int reg)
{
	return tell(qtest, "outl", 0xcf8, 1U << 31 | DEVFN << 8 | (reg & ~3));
}

static uint32_t config_read(struct qtest *qtest, unsigned int reg)
{
	uint64_t value = 0;

	if (config_select(qtest, reg) || ask_number(qtest, &value, "inl", 0xcfc))
		return 0;
	return value >> 8 * (reg & 3);
}

static int config_write(struct qtest *qtest, unsigned int reg, uint32_t value)
{
	return config_select(qtest, reg) ?: tell(qtest, "outl", 0xcfc, value);
}

/* Give a memory BAR its address, and return that. */
static uint64_t place_bar(struct qtest *qtest, unsigned int bar, uint64_t address)
{
	unsigned int reg = PCI_BASE_ADDRESS_0 + 4 * bar;

	if (config_write(qtest, reg, address))
		return 0;
	if (config_read(qtest, reg) & PCI_BASE_ADDRESS_MEM_TYPE_64)
		config_write(qtest, reg + 4, address >> 32);
	else if (address >> 32)
		return 0;
	return address;
}

/* The capabilities of the device: where its registers are, and its windows. */
static int find_device(struct qtest *qtest)
{
	unsigned int at, bar, id;
	uint64_t offset, size;

	if ((config_read(qtest, PCI_VENDOR_ID) & 0xffff) != 0x1af4)
		return -ENODEV;
	for (at = config_read(qtest, PCI_CAPABILITY_LIST) & 0xfc; at;
	     at = config_read(qtest, at + PCI_CAP_LIST_NEXT) & 0xfc) {
		if ((config_read(qtest, at) & 0xff) != PCI_CAP_ID_VNDR)
			continue;
		bar = config_read(qtest, at + VIRTIO_PCI_CAP_BAR) & 0xff;
		id = config_read(qtest, at + offsetof(struct virtio_pci_cap, id)) & 0xff;
		offset = config_read(qtest, at + VIRTIO_PCI_CAP_OFFSET);
		switch (config_read(qtest, at + VIRTIO_PCI_CAP_CFG_TYPE) & 0xff) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			qtest->common = place_bar(qtest, bar, REGISTERS) + offset;
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			qtest->notify = place_bar(qtest, bar, REGISTERS) + offset;
			qtest->notify_step = config_read(qtest, at + VIRTIO_PCI_NOTIFY_CAP_MULT);
			break;
		case VIRTIO_PCI_CAP_SHARED_MEMORY_CFG:
			if (id >= ARRAY_SIZE(qtest->window))
				return -E2BIG;
			size = config_read(qtest, at + VIRTIO_PCI_CAP_LENGTH);
			offset |= (uint64_t)config_read(qtest, at + sizeof(struct virtio_pci_cap)) << 32;
			size |= (uint64_t)config_read(qtest, at + sizeof(struct virtio_pci_cap) + 4) << 32;
			qtest->window[id] = place_bar(qtest, bar, WINDOW_ADDRESS) + offset;
			qtest->window_size[id] = size;
			break;
		}
	}
	if (!qtest->common)
		return -ENODEV;
	return config_write(qtest, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

#define NEGOTIATED (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)

static int set_status(struct qtest *qtest, unsigned int status)
{
	return tell(qtest, "writeb", qtest->common + VIRTIO_PCI_COMMON_STATUS, status);
}

static int has_status(struct qtest *qtest, unsigned int status)
{
	uint64_t value;
	int err = ask_number(qtest, &value, "readb", qtest->common + VIRTIO_PCI_COMMON_STATUS);

	return err ?: value & status ? 0 : -EIO;
}

int qtest_features_ok(struct qtest *qtest)
{
	return set_status(qtest, 0) ?:
	       set_status(qtest, VIRTIO_CONFIG_S_ACKNOWLEDGE) ?:
	       set_status(qtest, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER) ?:
	       tell(qtest, "writel", qtest->common + VIRTIO_PCI_COMMON_GFSELECT, 1) ?:
	       tell(qtest, "writel", qtest->common + VIRTIO_PCI_COMMON_GF,
		    1 << (VIRTIO_F_VERSION_1 - 32)) ?:
	       set_status(qtest, NEGOTIATED) ?:
	       has_status(qtest, VIRTIO_CONFIG_S_FEATURES_OK);
}

static int set_address(struct qtest *qtest, unsigned int reg, uint64_t address)
{
	return tell(qtest, "writel", qtest->common + reg, address & 0xffffffff) ?:
	       tell(qtest, "writel", qtest->common + reg + 4, address >> 32);
}

int qtest_queue(struct qtest *qtest, unsigned int index, unsigned int size, uint64_t desc,
		uint64_t avail, uint64_t used)
{
	return tell(qtest, "writew", qtest->common + VIRTIO_PCI_COMMON_Q_SELECT, index) ?:
	       tell(qtest, "writew", qtest->common + VIRTIO_PCI_COMMON_Q_SIZE, size) ?:
	       set_address(qtest, VIRTIO_PCI_COMMON_Q_DESCLO, desc) ?:
	       set_address(qtest, VIRTIO_PCI_COMMON_Q_AVAILLO, avail) ?:
	       set_address(qtest, VIRTIO_PCI_COMMON_Q_USEDLO, used) ?:
	       tell(qtest, "writew", qtest->common + VIRTIO_PCI_COMMON_Q_ENABLE, 1);
}

int qtest_driver_ok(struct qtest *qtest)
{
	return set_status(qtest, NEGOTIATED | VIRTIO_CONFIG_S_DRIVER_OK) ?:
	       has_status(qtest, VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Each queue has its own place for that: its number times the step, as QEMU does. */
int qtest_kick(struct qtest *qtest, unsigned int index)
{
	return tell(qtest, "writew", qtest->notify + index * qtest->notify_step, index);
}

/* ---- The process ---- */

int qtest_start(struct qtest *qtest, const char *qemu, unsigned int mib, const char *device,
		const char *path)
{
	char command[1024];
	int pair[2], monitor[2];

	*qtest = (struct qtest){};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, monitor))
		return -errno;
	snprintf(command, sizeof(command),
		 "exec env %s -accel qtest -qtest stdio -qtest-log none -display none -nodefaults "
		 "-no-user-config -L /usr/share/seabios -m %uM "
		 "-object memory-backend-memfd,id=mem,size=%uM,share=on -machine q35,memory-backend=mem "
		 "-chardev socket,id=m,fd=3 -object monitor-qmp,id=monitor,chardev=m "
		 "-chardev socket,id=c,path=%s -device %s,chardev=c,addr=4",
		 qemu, mib, mib, path, device);
	qtest->pid = program_spawn(NULL, (int[]){ pair[1], pair[1], -1, monitor[1] }, 4, command);
	close(pair[1]);
	close(monitor[1]);
	qtest->sock = pair[0];
	qtest->monitor = monitor[0];
	return find_device(qtest);
}

int qtest_stop(struct qtest *qtest)
{
	int status = 0;

	if (qtest->pid <= 0)
		return -ESRCH;
	kill(qtest->pid, SIGCONT);
	kill(qtest->pid, SIGTERM);
	waitpid(qtest->pid, &status, 0);
	qtest->pid = 0;
	close(qtest->sock);
	close(qtest->monitor);
	return status;
}

static int monitor_await(struct qtest *qtest, const char *what)
{
	char line[4096];
	int err;

	do {
		err = read_line(qtest->monitor, line, sizeof(line));
		if (!err && strstr(line, "\"error\"")) {
			printf("# monitor: %s\n", line);
			return -EPROTO;
		}
	} while (!err && !strstr(line, what));
	return err;
}

static int monitor_tell(struct qtest *qtest, const char *command)
{
	char line[256];

	snprintf(line, sizeof(line), "{\"execute\":\"%s\"}\n", command);
	if (send(qtest->monitor, line, strlen(line), MSG_NOSIGNAL) < 0)
		return -errno;
	return monitor_await(qtest, "\"return\"");
}

int qtest_monitor(struct qtest *qtest, const char *command)
{
	static pid_t greeted;
	int err = 0;

	if (greeted != qtest->pid)
		err = monitor_await(qtest, "\"QMP\"") ?: monitor_tell(qtest, "qmp_capabilities");
	greeted = qtest->pid;
	return err ?: monitor_tell(qtest, command);
}
