#ifndef ACTSERVE_CLIENT_CPP_CONNECT_SECURITY_H_
#define ACTSERVE_CLIENT_CPP_CONNECT_SECURITY_H_

#include <string>

namespace actserve {

// How a client proves who it is, and checks who the server is. A path that is
// empty is taken from the variable of the environment beside it.
struct Security {
  // PEM file with the authorities that sign the server's certificate. It turns
  // on TLS, but not for a unix socket. $ACTSERVE_TLS_CA
  std::string tls_ca;
  // PEM files with this client's certificate and its key, for servers that want
  // one. $ACTSERVE_CLIENT_CERT, $ACTSERVE_CLIENT_KEY
  std::string client_cert;
  std::string client_key;
  // The name in the server's certificate, where that is not the host of the
  // address. $ACTSERVE_TLS_SERVER_NAME
  std::string tls_server_name;
  // The token, or a file with it, which is read again when the server does not
  // know the token any more. $ACTSERVE_TOKEN_FILE
  std::string token;
  std::string token_file;
  // True to send a token without TLS to another machine.
  bool insecure = false;
};

}  // namespace actserve

#endif  // ACTSERVE_CLIENT_CPP_CONNECT_SECURITY_H_
