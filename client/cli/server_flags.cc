#include "client/cli/server_flags.h"

namespace actserve {

void AddServerFlags(CLI::App& app, ServerFlags& server) {
  app.add_option(
         "--address", server.address,
         "host:port or unix:PATH, or several replicas: a list with "
         "commas, or dns:///host:port; or local, which computes in this "
         "program and needs no server; default: $ACTSERVE_ADDRESS, then "
         "the user's unix socket if a server listens there, then, to "
         "compute, local")
      ->type_name("ADDRESS");
  app.add_option("--timeout", server.timeout_seconds,
                 "Time limit of one call, retries included")
      ->type_name("SECONDS")
      ->capture_default_str();
  Security& security = server.security;
  app.add_option("--tls_ca", security.tls_ca,
                 "PEM file with the authorities that sign the server's "
                 "certificate; turns on TLS; default: $ACTSERVE_TLS_CA")
      ->type_name("FILE");
  app.add_option("--client_cert", security.client_cert,
                 "PEM file with a certificate for servers that want one; "
                 "default: $ACTSERVE_CLIENT_CERT")
      ->type_name("FILE");
  app.add_option("--client_key", security.client_key,
                 "PEM file with its key; default: $ACTSERVE_CLIENT_KEY")
      ->type_name("FILE");
  app.add_option("--tls_server_name", security.tls_server_name,
                 "The name in the server's certificate, where that is not the "
                 "host of the address; default: $ACTSERVE_TLS_SERVER_NAME")
      ->type_name("NAME");
  app.add_option("--token_file", security.token_file,
                 "A file with the token; default: $ACTSERVE_TOKEN_FILE")
      ->type_name("FILE");
  app.add_flag("--insecure", security.insecure,
               "Send the token without TLS to another machine");
}

}  // namespace actserve
