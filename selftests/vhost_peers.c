// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_peers.c - memview-vhost-user between programs that know nothing of it:
 * QEMU's block layer with libblkio, and QEMU with a guest, at one end;
 * qemu-storage-daemon at the other
 */
#include "vhost.h"

#include <stdarg.h>

#define DISK_MIB 32
#define SECTOR 512

FIXTURE(peers)
{
	struct klog klog;
	char dir[32];
	int log; /* the file of that name there */
	pid_t daemon, proxy;
};

/* Its exit status; what it prints is in the file "out" of the directory. */
static int sh(const char *dir, const char *format, ...)
{
	char command[2048];
	int status, used;
	va_list args;

	used = snprintf(command, sizeof(command), "cd %s && exec >out 2>&1 </dev/null && ", dir);
	va_start(args, format);
	vsnprintf(command + used, sizeof(command) - used, format, args);
	va_end(args);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define EXPECT_SH(expected, ...)					\
	EXPECT_EQ(expected, sh(self->dir, __VA_ARGS__))			\
		print_file(self->dir)

static void print_file(const char *dir)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "%s/out", dir);
	if (read_file(path, text, sizeof(text)) >= 0)
		printf("# %s\n", text);
	snprintf(path, sizeof(path), "%s/log", dir);
	if (read_file(path, text, sizeof(text)) >= 0)
		printf("# %s\n", text);
}

static int start_daemon(FIXTURE_DATA(peers) *self, const char *aio)
{
	char command[1024];

	snprintf(command, sizeof(command),
		 "exec qemu-storage-daemon --blockdev driver=file,node-name=disk,filename=disk.img,"
		 "cache.direct=on,aio=%s --export type=vhost-user-blk,id=e,node-name=disk,writable=on,"
		 "addr.type=unix,addr.path=qsd", aio);
	sh(self->dir, "rm -f qsd");
	self->daemon = program_start(self->dir, self->log, command);
	return program_listens(self->daemon, "qsd");
}

static int start_proxy(FIXTURE_DATA(peers) *self)
{
	self->proxy = program_start(self->dir, self->log, "exec memview-vhost-user -f proxy -b qsd -c control");
	return program_listens(self->proxy, "proxy");
}

FIXTURE_SETUP(peers)
{
	char missing[128], path[64];
	const char *ext4 = source_dir(SOURCE_EXT4, missing, sizeof(missing));

	if (!ext4)
		SKIP(return, "missing: %s", missing);
	if (system("command -v qemu-storage-daemon qemu-io >/dev/null"))
		SKIP(return, "missing: qemu-utils, qemu-block-extra");
	ASSERT_LE(0, klog_start(&self->klog));
	/* The shell's paths are short: sockets have their limit. */
	snprintf(self->dir, sizeof(self->dir), "%s/peersXXXXXX", ext4);
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ASSERT_EQ(0, sh(self->dir, "fallocate -l %dM disk.img && : >log", DISK_MIB));
	snprintf(path, sizeof(path), "%s/log", self->dir);
	self->log = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	ASSERT_LE(0, self->log);
}

FIXTURE_TEARDOWN(peers)
{
	program_stop(&self->proxy);
	program_stop(&self->daemon);
	sh("/tmp", "rm -r %s", self->dir);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/*
 * Commands of qemu-io: @mib of writes at random, of 4 KiB to 1 MiB, each with a
 * pattern of its own, and all read back at the end.
 */
static int write_script(const char *dir, unsigned int mib, uint64_t *random)
{
	static unsigned char pattern[DISK_MIB << 8];
	char path[64];
	uint64_t done = 0;
	unsigned int i, n;
	FILE *file;

	snprintf(path, sizeof(path), "%s/script", dir);
	file = fopen(path, "w");
	if (!file)
		return -errno;
	memset(pattern, 0, sizeof(pattern));
	while (done < (uint64_t)mib << 8) {
		n = 1 << random_next(random) % 9;
		i = random_next(random) % (ARRAY_SIZE(pattern) - n);
		memset(pattern + i, 1 + random_next(random) % 255, n);
		fprintf(file, "write -q -P %u %uk %uk\n", pattern[i], i * 4, n * 4);
		done += n;
	}
	for (i = 0; i < ARRAY_SIZE(pattern); i += n) {
		for (n = 1; i + n < ARRAY_SIZE(pattern) && n < 256 && pattern[i + n] == pattern[i]; n++)
			;
		fprintf(file, "read -q -P %u %uk %uk\n", pattern[i], i * 4, n * 4);
	}
	return fclose(file) ? -errno : 0;
}

#define BLKIO(socket) "--image-opts driver=virtio-blk-vhost-user,path=" socket ",cache.direct=on"

static void verify(struct __test_metadata *_metadata, FIXTURE_DATA(peers) *self, const char *aio)
{
	uint64_t random = random_seed(), start = now_ns();
	unsigned int mib = scaled(8);

	if (!self->dir[0])
		return;
	ASSERT_EQ(0, write_script(self->dir, mib, &random));
	ASSERT_EQ(0, start_daemon(self, aio)) print_file(self->dir);
	ASSERT_EQ(0, start_proxy(self)) print_file(self->dir);
	EXPECT_SH(0, "qemu-io " BLKIO("proxy") " <script >said 2>&1");
	EXPECT_SH(1, "grep -iE 'fail|error|differ' said");
	/* What is in the file is what was written, without any of the two. */
	EXPECT_SH(0, "grep ^read script | qemu-io -r -f raw disk.img >said 2>&1");
	EXPECT_SH(1, "grep -iE 'fail|error|differ' said");
	printf("# %u MiB written, %d MiB read twice, %.1f s\n", mib, DISK_MIB,
	       (now_ns() - start) / 1e9);
}

TEST_F_TIMEOUT(peers, blkio_native, 600)
{
	verify(_metadata, self, "native");
}

TEST_F_TIMEOUT(peers, blkio_io_uring, 600)
{
	verify(_metadata, self, "io_uring");
}

TEST_F_TIMEOUT(peers, blkio_threads, 600)
{
	verify(_metadata, self, "threads");
}

/* The device has views mapped and open, and none of the frontend's memory. */
TEST_F(peers, device_has_views_only)
{
	pid_t io;

	if (!self->dir[0])
		return;
	ASSERT_EQ(0, start_daemon(self, "threads"));
	ASSERT_EQ(0, start_proxy(self));
	io = program_start(self->dir, self->log, "exec qemu-io " BLKIO("proxy") " -c 'write -P 1 0 1M' -c 'sleep 60000'");
	ASSERT_EQ(0, sh(self->dir, "for i in $(seq 200); do grep -q memory-view: /proc/%d/maps && exit; sleep 0.1; done; exit 1",
			self->daemon)) print_file(self->dir);
	EXPECT_SH(1, "grep memfd: /proc/%d/maps", self->daemon);
	EXPECT_SH(1, "ls -l /proc/%d/fd | grep memfd:", self->daemon);
	/* What the frontend has is a memfd: that would have been seen. */
	EXPECT_SH(0, "grep memfd: /proc/%d/maps", io);
	program_stop(&io);
}

/* Taken away in the middle of it all: errors or the end of the device, and that is all. */
TEST_F_TIMEOUT(peers, revoked_under_load, 300)
{
	uint64_t random = random_seed();
	int round, status;
	pid_t io;

	if (!self->dir[0])
		return;
	ASSERT_EQ(0, write_script(self->dir, 400, &random));
	ASSERT_EQ(0, start_daemon(self, "native"));
	ASSERT_EQ(0, start_proxy(self));
	for (round = 0; round < 2; round++) {
		io = program_start(self->dir, self->log, "exec qemu-io " BLKIO("proxy") " <script >io 2>&1");
		ASSERT_EQ(0, sh(self->dir, "for i in $(seq 200); do memview-vhost-user -c control list | grep -q view && exit; sleep 0.05; done; exit 1"))
			print_file(self->dir);
		sleep_ms(300 + random_next(&random) % 500);
		EXPECT_SH(0, "memview-vhost-user -c control revoke all");
		sleep_ms(200);
		if (waitpid(self->daemon, &status, WNOHANG) == self->daemon) {
			EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
			printf("# the device died of SIGBUS\n");
			self->daemon = 0;
		} else {
			printf("# the device got errors\n");
			EXPECT_SH(0, "memview-vhost-user -c control restore all");
		}
		/* The frontend is unharmed: its own memory is as it was, it can be told to go. */
		kill(io, SIGTERM);
		waitpid(io, &status, 0);
		EXPECT_TRUE(!WIFSIGNALED(status) || WTERMSIG(status) == SIGTERM);
		program_stop(&self->daemon);
		ASSERT_EQ(0, start_daemon(self, "native"));
		EXPECT_SH(0, "qemu-io " BLKIO("proxy") " -c 'write -P %d 0 8M' -c 'read -P %d 0 8M' >said 2>&1",
			  round + 1, round + 1);
		EXPECT_SH(1, "grep -iE 'fail|error|differ' said");
	}
}

/*
 * A guest: a boot sector that has the firmware copy sectors of the disk, with
 * 6 GiB of memory, so that there are two regions of one memfd.
 */
static const char boot_source[] =
	".code16\n"
	"xor %ax, %ax\n mov %ax, %ds\n mov %ax, %es\n mov %ax, %ss\n mov $0x7c00, %sp\n"
	"cld\n mov $16, %bx\n"
	"again: mov $0x42, %ah\n mov $0x80, %dl\n mov $0x7d00, %si\n int $0x13\n jc bad\n"
	/* 64 sectors a time, 4096 further on. */
	"addw $4096, 0x7d08\n"
	"mov $0x4300, %ax\n mov $0x80, %dl\n mov $0x7d00, %si\n int $0x13\n jc bad\n"
	"subw $4096 - 64, 0x7d08\n"
	"dec %bx\n jnz again\n mov $0x20, %al\n jmp out\n"
	"bad: mov $0x21, %al\n"
	"out: mov $0xf4, %dx\n out %al, %dx\n hlt\n"
	".org 0x100\n .byte 16, 0\n .word 64\n .word 0, 0x1000\n .quad 64\n"
	".org 510\n .word 0xaa55\n";

static int make_boot_disk(const char *dir)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/boot.s", dir);
	file = fopen(path, "w");
	if (!file)
		return -errno;
	fputs(boot_source, file);
	fclose(file);
	return sh(dir,
		  "as --32 boot.s -o boot.o && ld -m elf_i386 -Ttext 0x7c00 --oformat binary boot.o -o boot && "
		  "head -c 8M /dev/urandom | dd of=disk.img conv=notrunc status=none && "
		  "dd if=boot of=disk.img conv=notrunc status=none");
}

TEST_F_TIMEOUT(peers, qemu_guest, 300)
{
	if (!self->dir[0])
		return;
	if (system("command -v as ld qemu-system-x86_64 >/dev/null"))
		SKIP(return, "missing: binutils, qemu-system-x86");
	ASSERT_EQ(0, make_boot_disk(self->dir)) print_file(self->dir);
	ASSERT_EQ(0, start_daemon(self, "native"));
	ASSERT_EQ(0, start_proxy(self));
	EXPECT_SH(65, "timeout 250 qemu-system-x86_64 -accel tcg -nodefaults -display none -no-reboot -m 6G "
		  "-object memory-backend-memfd,id=mem,size=6G,share=on -machine q35,memory-backend=mem "
		  "-chardev socket,id=c,path=proxy -device vhost-user-blk-pci,chardev=c,bootindex=1 "
		  "-device isa-debug-exit,iobase=0xf4,iosize=1");
	/* Sectors 64 to 1087 were copied to 4160 and on. */
	EXPECT_SH(0, "cmp -n $((1024 * %d)) -i $((64 * %d)):$((4160 * %d)) disk.img disk.img", SECTOR, SECTOR, SECTOR);
	EXPECT_SH(0, "grep -E '[2-9][0-9]* regions, 629[0-9]* KiB taken back' log");
}

TEST_HARNESS_MAIN
