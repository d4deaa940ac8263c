#ifndef ACTSERVE_SERVER_LISTEN_UNIX_USERS_H_
#define ACTSERVE_SERVER_LISTEN_UNIX_USERS_H_

#include <sys/socket.h>
#include <sys/types.h>

#include <optional>
#include <vector>

namespace actserve {

// Who may connect to the unix sockets, beside this process's own user and root.
struct UnixUsers {
  std::vector<uid_t> uids = {};
  // Groups whose members may, by their first group or any other.
  std::vector<gid_t> gids = {};

  bool empty() const { return uids.empty() && gids.empty(); }
};

// The user at the other end of a connected unix socket; nullopt: not known.
std::optional<ucred> UserAt(int unix_fd);

// True if the user at the other end may connect.
bool MayConnect(const UnixUsers& users, int unix_fd);

}  // namespace actserve

#endif  // ACTSERVE_SERVER_LISTEN_UNIX_USERS_H_
