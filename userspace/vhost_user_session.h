/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vhost_user_session.h - what the parts of a session share: how it begins
 * (vhost_user_begin.c), and the rest (vhost_user_session.c)
 */
#ifndef MEMVIEW_VHOST_USER_SESSION_H
#define MEMVIEW_VHOST_USER_SESSION_H

#include "vhost_user.h"

/**
 * struct session - one frontend and its backend
 * @link: By enum vu_way.
 * @control: Requests of operators come from here, each with a connection.
 * @graceful: The backend may come to an end before memory goes.
 */
struct session {
	const struct options *options;
	unsigned int id;
	int frontend;
	int backend;
	int frontend_req;
	int backend_req;
	int control;
	bool graceful;
	struct memory memory;
	struct link link[VU_WAYS];
};

void hung_up(struct session *session, enum vu_way way, char why[VU_WHY_MAX]);

/* vhost_user_begin.c */
bool session_begin(struct session *session, char why[VU_WHY_MAX]);

#endif /* MEMVIEW_VHOST_USER_SESSION_H */
