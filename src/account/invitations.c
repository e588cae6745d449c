/* invitations.c: a link that makes an account, once. The database knows only the hash of what is
 * in the link. */
#include "account/account_impl.h"
#include "base/clock.h"
#include "store/journal.h"

#include <stdio.h>

#define VALID_MS (7LL * 24 * 60 * 60 * 1000)

/* Enough to refuse what is no address; whether mail arrives shows in whether the link is used. */
static bool is_email(hone_str email) {
    const char *at = email.len ? memchr(email.ptr, '@', email.len) : NULL;
    if (!at || at == email.ptr || at == email.ptr + email.len - 1) return false;
    if (email.len > HONE_EMAIL_MAX) return false;
    for (size_t i = 0; i < email.len; i++) {
        unsigned char c = (unsigned char)email.ptr[i];
        if (c <= ' ' || c >= 0x7F || strchr("<>()[]\\,;:\"", c)) return false;
        if (c == '@' && email.ptr + i != at) return false;
    }
    return true;
}

hone_err hone_accounts_invite(hone_accounts *accounts, hone_tx *tx, hone_arena *arena,
                              const hone_caller *by, hone_str email, hone_role role, hone_str team,
                              const char **token) {
    (void)accounts;
    if (!is_email(email))
        return hone_err_new(HONE_E_INVALID, "'%.*s' is no e-mail address", HONE_ARG(email));
    int64_t taken = 0, now_ms = hone_now_ms();
    HONE_TRY(hone_tx_int(tx, &taken, "SELECT count(*) FROM user WHERE email = ?", "s", email));
    if (taken)
        return hone_err_new(HONE_E_CONFLICT, "'%.*s' has an account already", HONE_ARG(email));
    char text[HONE_TOKEN_SIZE], subject[32];
    hone_token_make(text);
    hone_token_hash hash = hone_token_digest(hone_str_of(text));
    if (!team.ptr) team = HONE_S("");
    HONE_TRY(hone_tx_exec(tx,
                          "INSERT INTO invitation (token, email, role, team, created_ms,"
                          " expires_ms) VALUES (?, ?, ?, ?, ?, ?)",
                          "bszsii", hone_token_str(&hash), email, hone_role_format(role), team,
                          now_ms, now_ms + VALID_MS));
    (void)snprintf(subject, sizeof subject, "invitation/%lld", (long long)hone_tx_insert_id(tx));
    char *copy = hone_arena_strdup(arena, hone_str_of(text)), *actor = hone_actor(arena, by);
    sodium_memzero(text, sizeof text);
    if (!copy || !actor) return hone_account_no_memory();
    HONE_TRY(hone_journal_append(
        tx, actor, "invitation.created", subject,
        json_pack("{s:s, s:s%}", "role", hone_role_format(role), "team", team.ptr, team.len)));
    *token = copy;
    return HONE_OK;
}

static hone_err find_in(hone_tx *tx, hone_arena *arena, hone_str token, hone_invitation *out,
                        int64_t *id) {
    hone_rows rows;
    bool more = false;
    hone_invitation found = {0};
    hone_token_hash hash = hone_token_digest(token);
    HONE_TRY(hone_rows_open(tx, &rows,
                            "SELECT id, email, role, team, expires_ms FROM invitation"
                            " WHERE token = ? AND used_ms = 0 AND expires_ms > ?",
                            "bi", hone_token_str(&hash), hone_now_ms()));
    hone_err err = hone_rows_next(&rows, &more);
    if (!hone_failed(err) && !more)
        err = hone_err_new(HONE_E_NOT_FOUND, "the invitation was used, has expired or never was");
    if (!hone_failed(err)) err = hone_role_parse(hone_rows_str(&rows, 2), &found.role);
    if (!hone_failed(err)) {
        *id = hone_rows_int(&rows, 0);
        found.email = hone_arena_strdup(arena, hone_rows_str(&rows, 1));
        found.team = hone_arena_strdup(arena, hone_rows_str(&rows, 3));
        found.expires_ms = hone_rows_int(&rows, 4);
        if (!found.email || !found.team) err = hone_account_no_memory();
    }
    hone_rows_close(&rows);
    if (!hone_failed(err)) *out = found;
    return err;
}

hone_err hone_accounts_find_invitation(hone_accounts *accounts, hone_arena *arena, hone_str token,
                                       hone_invitation *out) {
    hone_tx *tx = NULL;
    int64_t id = 0;
    HONE_TRY(hone_tx_begin(accounts->db, HONE_TX_READ, &tx));
    hone_err err = find_in(tx, arena, token, out, &id);
    hone_tx_abort(tx);
    return err;
}

static hone_err load_new(hone_tx *tx, hone_arena *arena, int64_t user, hone_caller *out) {
    hone_rows rows;
    bool more = false;
    HONE_TRY(hone_rows_open(tx, &rows, "SELECT " HONE_CALLER_COLUMNS " FROM user u WHERE u.id = ?",
                            "i", user));
    hone_err err = hone_rows_next(&rows, &more);
    if (!hone_failed(err)) err = hone_caller_copy(arena, &rows, out);
    hone_rows_close(&rows);
    return err;
}

static hone_err accept_in(hone_tx *tx, hone_arena *arena, hone_str token, hone_str name,
                          const char *hash, const char **session, hone_caller *out) {
    hone_invitation invitation;
    int64_t id = 0, user = 0;
    char actor[HONE_USER_NAME_MAX + 16], subject[32];
    HONE_TRY(find_in(tx, arena, token, &invitation, &id));
    (void)snprintf(actor, sizeof actor, "user/%.*s", HONE_ARG(name));
    (void)snprintf(subject, sizeof subject, "invitation/%lld", (long long)id);
    HONE_TRY(hone_tx_exec(tx, "UPDATE invitation SET used_ms = ? WHERE id = ?", "ii", hone_now_ms(),
                          id));
    HONE_TRY(hone_user_insert(tx, name, hone_str_of(invitation.email), invitation.role, hash, actor,
                              &user));
    if (invitation.team[0])
        HONE_TRY(hone_accounts_team_add(tx, user, hone_str_of(invitation.team)));
    HONE_TRY(load_new(tx, arena, user, out));
    HONE_TRY(hone_journal_append(tx, actor, "invitation.accepted", subject,
                                 json_pack("{s:s}", "team", invitation.team)));
    return hone_session_insert(tx, arena, user, session, out);
}

hone_err hone_accounts_accept(hone_accounts *accounts, hone_arena *arena, hone_str token,
                              hone_str name, hone_str password, const char **session,
                              hone_caller *out) {
    hone_invitation invitation;
    hone_caller caller = {0};
    hone_tx *tx = NULL;
    char hash[crypto_pwhash_STRBYTES];
    /* First the cheap question: only who has a link may make the server hash. */
    HONE_TRY(hone_accounts_find_invitation(accounts, arena, token, &invitation));
    HONE_TRY(hone_password_is_good(password));
    HONE_TRY(hone_password_hash(accounts, password, hash));
    HONE_TRY(hone_tx_begin(accounts->db, HONE_TX_WRITE, &tx));
    HONE_TRY(hone_tx_finish(tx, accept_in(tx, arena, token, name, hash, session, &caller)));
    *out = caller;
    return HONE_OK;
}
