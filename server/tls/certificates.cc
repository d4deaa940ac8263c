#include "server/tls/certificates.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/base/status_macros.h"
#include "server/identity/watched_files.h"

namespace actserve {
namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Bio Reader(const std::string& pem) {
  return {BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free};
}

// A server has nobody to ask for a passphrase.
int NoPassphrase(char*, int, int, void*) { return -1; }

// The certificates of a file, at least one.
absl::StatusOr<std::vector<Certificate>> ParseCertificates(
    absl::string_view where, const std::string& pem) {
  std::vector<Certificate> certificates;
  const Bio bio = Reader(pem);
  while (X509* next =
             PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr)) {
    certificates.emplace_back(next, &X509_free);
  }
  // After the last one no line begins another.
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  if (certificates.empty()) {
    return InvalidArgument(where, ": no certificate in PEM");
  }
  if (ERR_GET_REASON(error) != PEM_R_NO_START_LINE) {
    return InvalidArgument(where, ": certificate ", certificates.size() + 1,
                           " is damaged");
  }
  return certificates;
}

absl::StatusOr<Key> ParseKey(absl::string_view where, const std::string& pem) {
  const Bio bio = Reader(pem);
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr),
          &EVP_PKEY_free);
  ERR_clear_error();
  if (key == nullptr) {
    return InvalidArgument(where,
                           ": no private key in PEM, or one with a passphrase");
  }
  return key;
}

absl::Time TimeOf(const ASN1_TIME* time) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

std::string Date(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
}

}  // namespace

std::vector<std::string> TlsFiles::paths() const {
  std::vector<std::string> paths;
  for (const std::string* path : {&cert, &key, &client_ca}) {
    if (!path->empty()) paths.push_back(*path);
  }
  return paths;
}

absl::StatusOr<TlsMaterial> LoadTls(const TlsFiles& files, absl::Time now) {
  TlsMaterial material;
  ACTSERVE_ASSIGN_OR_RETURN(material.cert,
                            ReadSecretFile("tls_cert", files.cert, false));
  ACTSERVE_ASSIGN_OR_RETURN(material.key,
                            ReadSecretFile("tls_key", files.key, false));
  const std::string cert_place = absl::StrCat("tls_cert: ", files.cert);
  ACTSERVE_ASSIGN_OR_RETURN(const auto chain,
                            ParseCertificates(cert_place, material.cert));
  const std::string key_place = absl::StrCat("tls_key: ", files.key);
  ACTSERVE_ASSIGN_OR_RETURN(const Key key, ParseKey(key_place, material.key));
  X509* const certificate = chain[0].get();
  if (X509_check_private_key(certificate, key.get()) != 1) {
    ERR_clear_error();
    return InvalidArgument(key_place, ": not the key of the certificate in ",
                           files.cert);
  }
  const absl::Time begins = TimeOf(X509_get0_notBefore(certificate));
  material.expires = TimeOf(X509_get0_notAfter(certificate));
  if (now >= material.expires) {
    return absl::FailedPreconditionError(
        absl::StrCat(cert_place, ": expired at ", Date(material.expires)));
  }
  if (now < begins) {
    return absl::FailedPreconditionError(
        absl::StrCat(cert_place, ": not valid before ", Date(begins)));
  }
  if (!files.client_ca.empty()) {
    ACTSERVE_ASSIGN_OR_RETURN(
        material.client_ca,
        ReadSecretFile("tls_client_ca", files.client_ca, false));
    ACTSERVE_RETURN_IF_ERROR(
        ParseCertificates(absl::StrCat("tls_client_ca: ", files.client_ca),
                          material.client_ca)
            .status());
  }
  return material;
}

}  // namespace actserve
