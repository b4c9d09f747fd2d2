//! TLS to the nodes, by the OpenSSL of the system.
//!
//! Invariant: a node is talked to only when its certificate is signed by an authority that is trusted, and names it.

use super::options::Tls;
use crate::contract::Error;
use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslFiletype, SslMethod};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use scylla::client::session::OpenSsl010Config;

/// # Errors
/// If a file cannot be read or is not what it should be.
pub(super) fn context(tls: &Tls) -> Result<OpenSsl010Config, Error> {
    let pem = if tls.ca_file.as_os_str().is_empty() {
        None
    } else {
        Some(std::fs::read(&tls.ca_file).map_err(|error| wrong("ca_file", &tls.ca_file, &error))?)
    };
    let mut builder = SslConnector::builder(SslMethod::tls()).map_err(|error| Error::Unreachable(error.to_string()))?;
    if let Some(pem) = pem {
        let store = trusted(&pem).map_err(|error| wrong("ca_file", &tls.ca_file, &error))?;
        builder.set_cert_store(store);
    }
    if !tls.certificate_file.as_os_str().is_empty() {
        let certified = builder.set_certificate_chain_file(&tls.certificate_file);
        certified.map_err(|error| wrong("certificate_file", &tls.certificate_file, &error))?;
        let keyed = builder.set_private_key_file(&tls.key_file, SslFiletype::PEM);
        keyed.map_err(|error| wrong("key_file", &tls.key_file, &error))?;
    }
    Ok(OpenSsl010Config::new(builder))
}

/// These authorities and no others.
fn trusted(pem: &[u8]) -> Result<openssl::x509::store::X509Store, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for certificate in X509::stack_from_pem(pem)? {
        store.add_cert(certificate)?;
    }
    Ok(store.build())
}

fn wrong(key: &str, path: &std::path::Path, error: &dyn std::error::Error) -> Error {
    Error::Unreachable(format!("[scylla.tls] {key} {}: {error}", path.display()))
}
