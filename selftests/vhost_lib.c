// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_lib.c - a frontend and a backend of vhost-user; vhost.h describes it
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "vhost.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PATIENCE_MS 60000

int unix_socket(const char *path, bool listening)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (listening ? bind(sock, (struct sockaddr *)&address, sizeof(address)) ||
			listen(sock, 8) :
			connect(sock, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	return sock;
}

pid_t program_spawn(const char *dir, const int *fds, int nr, const char *command)
{
	pid_t pid;
	int i;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid < 0 ? -errno : pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < nr; i++)
		if (fds[i] >= 0)
			dup2(fds[i], i);
	if (dir && chdir(dir))
		_exit(126);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

pid_t program_start(const char *dir, int log, const char *command)
{
	const int fds[] = { -1, log, log };

	fcntl(log, F_SETFL, O_APPEND);
	return program_spawn(dir, fds, ARRAY_SIZE(fds), command);
}

int program_stop(pid_t *pid)
{
	int status = 0;

	if (*pid <= 0)
		return 0;
	kill(*pid, SIGTERM);
	waitpid(*pid, &status, 0);
	*pid = 0;
	return status;
}

bool program_has(pid_t pid, const char *what)
{
	char command[128];

	snprintf(command, sizeof(command), "{ cat /proc/%d/maps; ls -l /proc/%d/fd; } | grep -q %s",
		 pid, pid, what);
	return !system(command);
}

static bool listens(const char *path)
{
	char line[256], name[128];
	unsigned int flags;
	bool found = false;
	FILE *file = fopen("/proc/net/unix", "r");

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "%*s %*x %*x %x %*x %*x %*u %127s", &flags, name) == 2 &&
			flags == 0x10000 && !strcmp(name, path);
	if (file)
		fclose(file);
	return found;
}

int program_listens(pid_t pid, const char *path)
{
	siginfo_t ended = {};
	unsigned int i;

	for (i = 0; i < PATIENCE_MS / 10 * slowness(); i++) {
		if (listens(path))
			return 0;
		if (waitid(P_PID, pid, &ended, WEXITED | WNOHANG | WNOWAIT) || ended.si_pid)
			return -ECHILD;
		sleep_ms(10);
	}
	return -ETIMEDOUT;
}

const char *log_text(int log)
{
	static char text[65536];
	ssize_t size = pread(log, text, sizeof(text) - 1, 0);

	text[size < 0 ? 0 : size] = '\0';
	return text;
}

int log_says(int log, const char *text)
{
	unsigned int i;

	for (i = 0; i < PATIENCE_MS / 10 * slowness(); i++) {
		if (strstr(log_text(log), text))
			return 0;
		sleep_ms(10);
	}
	printf("# it has said: %s\n", log_text(log));
	return -ETIMEDOUT;
}

const char *proxy_log(struct vhost_proxy *proxy)
{
	return log_text(proxy->log);
}

int proxy_says(struct vhost_proxy *proxy, const char *text)
{
	return log_says(proxy->log, text);
}

int proxy_start(struct vhost_proxy *proxy, const char *options)
{
	char command[512];

	snprintf(proxy->dir, sizeof(proxy->dir), "/tmp/vhost-XXXXXX");
	if (!mkdtemp(proxy->dir))
		return -errno;
	snprintf(proxy->frontend, sizeof(proxy->frontend), "%s/frontend", proxy->dir);
	snprintf(proxy->backend, sizeof(proxy->backend), "%s/backend", proxy->dir);
	snprintf(proxy->control, sizeof(proxy->control), "%s/control", proxy->dir);
	proxy->listener = unix_socket(proxy->backend, true);
	proxy->log = memfd_create("log", MFD_CLOEXEC);
	if (proxy->listener < 0 || proxy->log < 0)
		return -EIO;
	snprintf(command, sizeof(command),
		 "exec memview-vhost-user --frontend %s --backend %s --control %s %s",
		 proxy->frontend, proxy->backend, proxy->control, options);
	proxy->pid = program_start(NULL, proxy->log, command);
	return program_listens(proxy->pid, proxy->frontend);
}

int proxy_stop(struct vhost_proxy *proxy, int sig)
{
	char command[64];
	int status;

	kill(proxy->pid, sig);
	if (waitpid(proxy->pid, &status, 0) != proxy->pid)
		return -errno;
	close(proxy->listener);
	close(proxy->log);
	snprintf(command, sizeof(command), "rm -r %s", proxy->dir);
	return system(command) ? -EIO : status;
}

bool proxy_announces_by(struct vhost_proxy *proxy, const char *message)
{
	const char *log = proxy_log(proxy);

	return strstr(log, message) && !strstr(log, "ADD_MEM_REG") != !strstr(log, "SET_MEM_TABLE");
}

pid_t proxy_session(struct vhost_proxy *proxy)
{
	char path[64];
	FILE *file;
	pid_t pid = -1;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", proxy->pid, proxy->pid);
	file = fopen(path, "r");
	if (!file)
		return -1;
	if (fscanf(file, "%d", &pid) != 1)
		pid = -1;
	fclose(file);
	return pid;
}

int proxy_control(struct vhost_proxy *proxy, const char *command, char *out, size_t size)
{
	char line[256];
	size_t used;
	FILE *pipe;
	int status;

	snprintf(line, sizeof(line), "memview-vhost-user --control %s %s 2>&1", proxy->control,
		 command);
	pipe = popen(line, "r");
	if (!pipe)
		return -errno;
	used = fread(out, 1, size - 1, pipe);
	out[used] = '\0';
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

static int wait_readable(int sock)
{
	struct pollfd fd = { sock, POLLIN, 0 };

	return poll(&fd, 1, PATIENCE_MS * slowness()) == 1 ? 0 : -ETIMEDOUT;
}

int proxy_connect(struct vhost_proxy *proxy)
{
	return unix_socket(proxy->frontend, false);
}

int pair_open(struct vhost_proxy *proxy, struct vhost_pair *pair)
{
	struct vhost_message got;
	int err;

	pair->backend = -1;
	pair->frontend = unix_socket(proxy->frontend, false);
	if (pair->frontend < 0)
		return pair->frontend;
	/* For one that says nothing there is no backend. */
	err = vhost_send_empty(pair->frontend, SET_OWNER, 0);
	if (err)
		return err;
	if (wait_readable(proxy->listener)) {
		printf("# it has said: %s\n", proxy_log(proxy));
		return -ETIMEDOUT;
	}
	pair->backend = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
	if (pair->backend < 0)
		return -errno;
	err = vhost_receive(pair->backend, &got);
	return err ?: got.request == SET_OWNER ? 0 : -EPROTO;
}

void pair_close(struct vhost_pair *pair)
{
	close(pair->frontend);
	close(pair->backend);
}

int vhost_send(int sock, const struct vhost_message *message)
{
	char space[CMSG_SPACE(sizeof(message->fds))] = {};
	/* What it says it has, or less, if that is a lie. */
	struct iovec iov[] = {
		{ (void *)message, 12 },
		{ (void *)message->payload,
		  message->size > sizeof(message->payload) ? 0 : message->size },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr *header;

	if (message->nr_fds) {
		msg.msg_control = space;
		msg.msg_controllen = CMSG_SPACE(message->nr_fds * sizeof(int));
		header = CMSG_FIRSTHDR(&msg);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(message->nr_fds * sizeof(int));
		memcpy(CMSG_DATA(header), message->fds, message->nr_fds * sizeof(int));
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int receive_part(int sock, void *to, size_t size, struct vhost_message *message)
{
	char space[CMSG_SPACE(sizeof(message->fds))];
	struct cmsghdr *header;
	struct iovec iov;
	struct msghdr msg;
	ssize_t got;
	size_t n;

	while (size) {
		iov = (struct iovec){ to, size };
		msg = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space,
				       .msg_controllen = sizeof(space) };
		if (wait_readable(sock))
			return -ETIMEDOUT;
		got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
		if (got <= 0)
			return got && errno != ECONNRESET ? -errno : -EPIPE;
		header = CMSG_FIRSTHDR(&msg);
		if (header && header->cmsg_type == SCM_RIGHTS) {
			n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(message->fds + message->nr_fds, CMSG_DATA(header), n * sizeof(int));
			message->nr_fds += n;
		}
		to = (char *)to + got;
		size -= got;
	}
	return 0;
}

int vhost_receive(int sock, struct vhost_message *message)
{
	int err;

	message->nr_fds = 0;
	err = receive_part(sock, message, 12, message);
	if (err)
		return err;
	if (message->size > sizeof(message->payload))
		return -EMSGSIZE;
	return receive_part(sock, message->payload, message->size, message);
}

int vhost_send_u64(int sock, uint32_t request, uint32_t flags, uint64_t value)
{
	struct vhost_message message = {
		.request = request, .flags = FLAG_VERSION | flags, .size = 8, .u64 = value,
	};

	return vhost_send(sock, &message);
}

int vhost_send_empty(int sock, uint32_t request, uint32_t flags)
{
	struct vhost_message message = { .request = request, .flags = FLAG_VERSION | flags };

	return vhost_send(sock, &message);
}

int vhost_closed(int sock)
{
	char waste[4096];
	ssize_t got;

	do {
		if (wait_readable(sock))
			return -ETIMEDOUT;
		got = recv(sock, waste, sizeof(waste), 0);
	} while (got > 0);
	return got && errno != ECONNRESET ? -errno : 0;
}

int vhost_set_table(struct vhost_pair *pair, const struct vhost_region *regions,
		    const int *fds, int *views, unsigned int nr)
{
	struct vhost_message message = {
		.request = SET_MEM_TABLE,
		.flags = FLAG_VERSION,
		.size = 8 + nr * sizeof(*regions),
		.table.nr = nr,
		.nr_fds = nr,
	}, got;
	int err;

	memcpy(message.table.region, regions, nr * sizeof(*regions));
	memcpy(message.fds, fds, nr * sizeof(*fds));
	err = vhost_send(pair->frontend, &message) ?: vhost_receive(pair->backend, &got);
	if (err)
		return err;
	if (got.request != message.request || got.nr_fds != (int)nr ||
	    got.size != message.size || memcmp(got.payload, message.payload, got.size))
		return -EPROTO;
	memcpy(views, got.fds, nr * sizeof(*fds));
	return 0;
}

static int send_region(struct vhost_pair *pair, uint32_t request,
		       const struct vhost_region *region, int fd, struct vhost_message *got)
{
	struct vhost_message message = {
		.request = request,
		.flags = FLAG_VERSION | FLAG_NEED_REPLY,
		.size = 40,
		.single.region = *region,
		.nr_fds = fd >= 0,
		.fds = { fd },
	};
	int err;

	err = vhost_send(pair->frontend, &message) ?: vhost_receive(pair->backend, got) ?:
	      vhost_send_u64(pair->backend, request, FLAG_REPLY, 0);
	if (err)
		return err;
	if (got->request != request || memcmp(got->payload, message.payload, 40))
		return -EPROTO;
	return vhost_receive(pair->frontend, &message);
}

int vhost_add(struct vhost_pair *pair, const struct vhost_region *region, int fd, int *view)
{
	struct vhost_message got;
	int err = send_region(pair, ADD_MEM_REG, region, fd, &got);

	if (err)
		return err;
	*view = got.fds[0];
	return got.nr_fds == 1 ? 0 : -EPROTO;
}

int vhost_remove(struct vhost_pair *pair, const struct vhost_region *region)
{
	struct vhost_message got;
	int err = send_region(pair, REM_MEM_REG, region, -1, &got);

	return err ?: got.nr_fds ? -EPROTO : 0;
}

int vhost_reset(struct vhost_pair *pair, int how)
{
	struct vhost_message got;
	int err;

	if (how == 0)
		err = vhost_send_empty(pair->frontend, RESET_DEVICE, 0);
	else if (how == 1)
		err = vhost_send_empty(pair->frontend, RESET_OWNER, 0);
	else
		err = vhost_send_u64(pair->frontend, SET_STATUS, 0, 0);
	return err ?: vhost_receive(pair->backend, &got);
}

const struct vhost_region guest_low = { 0, LOW_SIZE, USER, 0 };
const struct vhost_region guest_high = { HIGH, HIGH_SIZE, USER + HIGH, HIGH };

int vhost_session_begin(struct vhost_session *session)
{
	int fd = memfd_create("guest", MFD_CLOEXEC), err;

	session->memfd = fd;
	if (fd < 0 || ftruncate(fd, HIGH + 64 * PAGE))
		return -errno;
	err = fd_write_u64(fd, 0, 0x1111) ?:
	      fd_write_u64(fd, HIGH, 0x2222) ?:
	      fd_write_u64(fd, HIGH + HIGH_SIZE, 0x3333);
	return err ?: proxy_start(&session->proxy, "") ?: pair_open(&session->proxy, &session->pair);
}

int vhost_session_end(struct vhost_session *session)
{
	return proxy_stop(&session->proxy, SIGTERM);
}
