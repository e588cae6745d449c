/* account.h: people, what they may do, and how they prove who they are.
 *
 *     invitation (link) --accept: name, password--> user --login--> session (cookie + CSRF token)
 *                                                    `--------> API keys (SigV4 secret, bearer)
 *
 * Passwords are argon2id hashes, session and invitation tokens are kept as SHA-256 alone. The
 * secret of an API key is needed in the clear to check a SigV4 signature; it lies encrypted
 * (crypto_secretbox) under DIR/secret.key, mode 0600.
 *
 * Threads: any. Times are hone_now_ms().
 */
#ifndef HONE_ACCOUNT_ACCOUNT_H
#define HONE_ACCOUNT_ACCOUNT_H

#include "base/arena.h"
#include "base/err.h"
#include "store/db.h"

#include <stdbool.h>

typedef struct hone_accounts hone_accounts;

/* What one may do; each role may do all that the ones before it may. */
typedef enum hone_role { HONE_REVIEWER, HONE_ENGINEER, HONE_ADMIN } hone_role;

/* Who makes a request. Strings live in the arena it was asked with. */
typedef struct hone_caller {
    int64_t user;     /* id; 0 = hone itself */
    const char *name; /* "ann": unique; actor "user/ann" in the journal */
    const char *email;
    const char *worker; /* opaque id that reviews carry, 16 hex digits, stable per user */
    hone_role role;
    int64_t session;  /* id of the browser session; 0 = none */
    const char *csrf; /* the session's token that a changing request must repeat; NULL = none */
} hone_caller;

/* Migrates its tables. At the first start on an empty folder makes user `admin` (role admin) with a
 * random password and an API key, and writes DIR/credentials (mode 0600, AWS ini form with
 * profile [default]: aws_access_key_id, aws_secret_access_key, plus hone_portal_user and
 * hone_portal_password, endpoint_url). The
 * database outlives it. endpoint_url may be NULL. CORRUPT when DIR/secret.key has been lost, so
 * that the keys in the database cannot be read. */
HONE_NODISCARD hone_err hone_accounts_open(const char *dir, hone_db *db, const char *endpoint_url,
                                           hone_accounts **out);
void hone_accounts_close(hone_accounts *accounts);

/* Bring `endpoint_url` and `region` of DIR/credentials up to date, once the port is known. What
 * else is in the file stays. Nothing is done where there is no such file or nothing to change. */
HONE_NODISCARD hone_err hone_accounts_note_endpoint(const char *dir, const char *endpoint_url,
                                                    const char *region);

/* --- proofs ------------------------------------------------------------------------- */

/* Whose key is this, and its secret, for SigV4. NOT_FOUND. */
HONE_NODISCARD hone_err hone_accounts_find_key(hone_accounts *accounts, hone_arena *arena,
                                               hone_str key_id, hone_caller *out, hone_str *secret);
/* `Authorization: Bearer KEYID:SECRET` (or the bearer token form hone_<keyid>_<secret>), compared
 * in constant time. NOT_FOUND. */
HONE_NODISCARD hone_err hone_accounts_find_bearer(hone_accounts *accounts, hone_arena *arena,
                                                  hone_str token, hone_caller *out);
/* The cookie's value. NOT_FOUND when it is unknown or has expired (12 h idle, 7 days in all). */
HONE_NODISCARD hone_err hone_accounts_find_session(hone_accounts *accounts, hone_arena *arena,
                                                   hone_str token, hone_caller *out);

/* Is sent the token of the caller's session? Compared in constant time; false without a session. */
bool hone_accounts_csrf_is(const hone_caller *caller, hone_str sent);

/* May who opened a stream go on reading it? The account is not disabled, and the session (0 =
 * none) has not ended. */
bool hone_accounts_is_current(hone_tx *tx, int64_t user, int64_t session);

/* Name or e-mail, and password. NOT_FOUND for either being wrong (same words, same time); FULL
 * after 10 failures of one name within 15 minutes. *token is the cookie's value. */
HONE_NODISCARD hone_err hone_accounts_login(hone_accounts *accounts, hone_arena *arena,
                                            hone_str name, hone_str password, const char **token,
                                            hone_caller *out);
HONE_NODISCARD hone_err hone_accounts_logout(hone_accounts *accounts, const hone_caller *caller);

/* --- people ------------------------------------------------------------------------- */

/* Invite an e-mail address into role and, unless team is empty, into that work team. *token is
 * the secret of the link; valid for 7 days, once. INVALID for no e-mail address, CONFLICT for
 * one that has an account. */
HONE_NODISCARD hone_err hone_accounts_invite(hone_accounts *accounts, hone_tx *tx,
                                             hone_arena *arena, const hone_caller *by,
                                             hone_str email, hone_role role, hone_str team,
                                             const char **token);
/* What an invitation says, before it is accepted. NOT_FOUND: unknown, used or expired. */
typedef struct hone_invitation {
    const char *email, *team;
    hone_role role;
    int64_t expires_ms;
} hone_invitation;
HONE_NODISCARD hone_err hone_accounts_find_invitation(hone_accounts *accounts, hone_arena *arena,
                                                      hone_str token, hone_invitation *out);
/* Make the user and log in. INVALID for a name that breaks hone_name_is_valid or a password under
 * 8 characters; CONFLICT for a name that is taken. */
HONE_NODISCARD hone_err hone_accounts_accept(hone_accounts *accounts, hone_arena *arena,
                                             hone_str token, hone_str name, hone_str password,
                                             const char **session, hone_caller *out);

/* Members of work teams (a team itself is review/'s). */
HONE_NODISCARD hone_err hone_accounts_team_add(hone_tx *tx, int64_t user, hone_str team);
HONE_NODISCARD hone_err hone_accounts_team_remove(hone_tx *tx, int64_t user, hone_str team);
bool hone_accounts_is_in_team(hone_tx *tx, int64_t user, hone_str team);
/* The teams of a user, by name, in the arena. */
HONE_NODISCARD hone_err hone_accounts_teams(hone_tx *tx, hone_arena *arena, int64_t user,
                                            hone_str **out, size_t *count);
/* When the team itself goes. */
HONE_NODISCARD hone_err hone_accounts_team_drop(hone_tx *tx, hone_str team);
/* The id of a user. NOT_FOUND. */
HONE_NODISCARD hone_err hone_accounts_find_user(hone_tx *tx, hone_str name, int64_t *user);

typedef struct hone_user {
    int64_t id;
    const char *name, *email;
    hone_role role;
    int64_t created_ms, seen_ms;
    bool is_disabled;
    const char *teams; /* names, comma between them */
} hone_user;
HONE_NODISCARD hone_err hone_accounts_list(hone_accounts *accounts, hone_arena *arena,
                                           hone_user **out, size_t *count);
/* A disabled user's sessions and keys end at once, and for good. INVALID for oneself. */
HONE_NODISCARD hone_err hone_accounts_disable(hone_accounts *accounts, const hone_caller *by,
                                              hone_str name, bool disabled);
/* A new API key of a user: both parts, shown once. FULL above 20 keys. */
HONE_NODISCARD hone_err hone_accounts_key_create(hone_accounts *accounts, hone_arena *arena,
                                                 const hone_caller *by, hone_str user,
                                                 const char **key_id, const char **secret);
/* NOT_FOUND also for a key of somebody else, unless by is an admin. */
HONE_NODISCARD hone_err hone_accounts_key_delete(hone_accounts *accounts, const hone_caller *by,
                                                 hone_str key_id);

const char *hone_role_format(hone_role role); /* "reviewer", "engineer", "admin" */
HONE_NODISCARD hone_err hone_role_parse(hone_str text, hone_role *out);

#endif
