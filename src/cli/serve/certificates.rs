//! What clients trust: an authority of this server's own, and the certificate that it signs at each start.
//!
//! The authority's key is the truth and is kept. Its certificate follows from the key: one that is damaged, of another key
//! or a year old is made anew, and kubeconfigs that were copied go on working, because name and key are the same.

use super::super::error::{CliError, code};
use super::state::DataDir;
use crate::base::Time;
use crate::engine;
use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, SerialNumber, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

const CA_KEY: &str = "ca.key";
const CA_CERTIFICATE: &str = "ca.crt";

/// How long the authority's certificate is valid.
const CA_YEARS: i64 = 10;

/// At this age it is made anew.
const CA_AGE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long a server's certificate is valid: it ends before its authority's does, and a server is started more often.
const SERVER_YEARS: i64 = CA_YEARS - 1;

/// Clocks of clients may be behind by this much.
const CLOCK_SKEW_DAYS: i64 = 1;

/// The authority of a data directory.
#[derive(Debug)]
pub(super) struct Authority {
    key: KeyPair,
    params: CertificateParams,
    pem: String,
}

fn unusable(error: &dyn std::fmt::Display) -> CliError {
    CliError::new(code::ENGINE, format!("the certificates cannot be made: {error}"))
}

impl Authority {
    /// The authority of `data`, made where there is none.
    ///
    /// # Errors
    /// When its key is damaged, or its files cannot be read or written.
    pub(super) fn open(data: &DataDir) -> Result<Self, CliError> {
        let key = match data.read(CA_KEY)? {
            Some(pem) => KeyPair::from_pem(&pem).map_err(|error| {
                let help = "restore it, or delete it: the next start makes a new authority, and kubeconfigs that were\n\
                            copied have to be copied again";
                data.damaged(CA_KEY, &error.to_string(), help)
            })?,
            None => {
                let key = KeyPair::generate().map_err(|error| unusable(&error))?;
                data.write(CA_KEY, &key.serialize_pem())?;
                key
            }
        };
        let now = engine::now();
        let params = authority_params(&key, now)?;
        let mut authority = Self { key, params, pem: String::new() };
        let kept = data.read(CA_CERTIFICATE)?.filter(|_| is_young(data, now));
        match kept.filter(|pem| authority.is_certified_by(pem, now)) {
            Some(pem) => authority.pem = pem,
            None => {
                let made = authority.params.self_signed(&authority.key).map_err(|error| unusable(&error))?;
                authority.pem = made.pem();
                data.write(CA_CERTIFICATE, &authority.pem)?;
            }
        }
        Ok(authority)
    }

    /// The authority's certificate.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// A new certificate and key for a server that listens on `listen`.
    pub(super) fn server_certificate(
        &self,
        listen: IpAddr,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CliError> {
        let (certificate, key) = self.issue(listen, engine::now())?;
        Ok((vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
    }

    fn issue(&self, listen: IpAddr, now: Time) -> Result<(CertificateDer<'static>, KeyPair), CliError> {
        let make = || {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(names(listen))?;
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, "coracle server");
            params.use_authority_key_identifier_extension = true;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            set_validity(&mut params, now, SERVER_YEARS);
            let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key))?;
            Ok((certificate.der().clone(), key))
        };
        make().map_err(|error: rcgen::Error| unusable(&error))
    }

    /// Whether clients that trust `pem` would trust what this authority signs.
    fn is_certified_by(&self, pem: &str, now: Time) -> bool {
        let check = || {
            let root = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
            let mut roots = RootCertStore::empty();
            roots.add(root).ok()?;
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
            let (certificate, _) = self.issue(Ipv4Addr::LOCALHOST.into(), now).ok()?;
            let name = ServerName::try_from("localhost").ok()?;
            let now = UnixTime::since_unix_epoch(Duration::from_millis(now.0));
            verifier.verify_server_cert(&certificate, &[], &name, &[], now).ok()
        };
        check().is_some()
    }
}

/// Names are the key's, so that two authorities never share one.
fn authority_params(key: &KeyPair, now: Time) -> Result<CertificateParams, CliError> {
    let digest = Sha256::digest(key.der_bytes());
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|error| unusable(&error))?;
    // A positive number of fixed length (RFC 5280, 4.1.2.2).
    serial[0] = (serial[0] & 0x3f) | 0x40;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = format!("coracle authority {:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    set_validity(&mut params, now, CA_YEARS);
    Ok(params)
}

fn is_young(data: &DataDir, now: Time) -> bool {
    let modified = std::fs::metadata(data.path(CA_CERTIFICATE)).and_then(|metadata| metadata.modified());
    let since = modified.ok().and_then(|modified| modified.duration_since(std::time::UNIX_EPOCH).ok());
    since.is_some_and(|since| Duration::from_millis(now.0).saturating_sub(since) < CA_AGE_MAX)
}

/// Makes `params` valid from a little before `now` for so many years, on whole days.
fn set_validity(params: &mut CertificateParams, now: Time, years: i64) {
    let milliseconds = i64::try_from(now.0).unwrap_or(i64::MAX);
    let today = Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX).to_zoned(TimeZone::UTC).date();
    let until = today.saturating_add(Span::new().years(years));
    let since = today.saturating_sub(Span::new().days(CLOCK_SKEW_DAYS));
    let midnight = |date: Date| {
        let part = |number: i8| u8::try_from(number).expect("months and days are positive");
        date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
    };
    (params.not_before, params.not_after) = (midnight(since), midnight(until));
}

/// The host names and addresses by which a server is reached.
fn names(listen: IpAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    names.extend(host_name(host.trim()));
    let mut addresses: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    if !listen.is_unspecified() && !addresses.contains(&listen) {
        addresses.push(listen);
    }
    names.extend(addresses.iter().map(ToString::to_string));
    names
}

/// A host name as it may stand in a certificate.
fn host_name(name: &str) -> Option<String> {
    let is_label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_name = name.len() <= 253 && name.split('.').all(is_label) && name != "localhost";
    // A name that is all digits and dots would be taken for an address.
    (is_name && name.parse::<IpAddr>().is_err()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn opened(dir: &Path) -> (DataDir, Result<Authority, CliError>) {
        let data = DataDir::open(dir).expect("a data directory");
        let authority = Authority::open(&data);
        (data, authority)
    }

    #[test]
    fn an_authority_stays_the_same_over_restarts() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = opened(dir.path()).1.expect("made").pem;
        let second = opened(dir.path()).1.expect("read").pem;
        assert_eq!(first, second);
        assert!(first.starts_with("-----BEGIN CERTIFICATE-----"), "{first}");
    }

    #[test]
    fn a_certificate_that_is_damaged_foreign_or_old_is_made_anew_by_the_same_key() {
        let (dir, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let first = opened(dir.path()).1.expect("made").pem;
        let foreign = opened(other.path()).1.expect("made").pem;
        for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &foreign] {
            std::fs::write(dir.path().join(CA_CERTIFICATE), text).expect("written");
            let (_data, authority) = opened(dir.path());
            let authority = authority.expect("made anew");
            assert_ne!(authority.pem, text);
            // Who trusts the first certificate trusts the server still.
            assert!(authority.is_certified_by(&first, engine::now()));
            assert!(!authority.is_certified_by(&foreign, engine::now()));
        }
        let path = dir.path().join(CA_CERTIFICATE);
        let before = std::fs::read_to_string(&path).expect("there");
        let old = std::time::UNIX_EPOCH + Duration::from_millis(engine::now().0) - CA_AGE_MAX - Duration::from_secs(1);
        std::fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(old)).expect("aged");
        assert_ne!(opened(dir.path()).1.expect("made anew").pem, before);
    }

    #[test]
    fn a_damaged_key_is_an_error_that_says_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        for text in ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            std::fs::write(dir.path().join(CA_KEY), text).expect("written");
            let error = opened(dir.path()).1.expect_err("damaged");
            assert!(format!("{error:?}").contains("ca.key is damaged"), "{error:?}");
        }
    }

    #[test]
    fn a_certificate_names_what_clients_call_the_server() {
        let specific = names("192.0.2.7".parse().expect("an address"));
        assert!(["localhost", "127.0.0.1", "::1", "192.0.2.7"].iter().all(|name| specific.iter().any(|n| n == name)));
        let any = names(Ipv4Addr::UNSPECIFIED.into());
        assert!(!any.iter().any(|name| name == "0.0.0.0"), "{any:?}");
        let hosts =
            [("box", true), ("a.b-c.d", true), ("", false), ("a..b", false), ("a_b", false), ("1.2.3.4", false)];
        for (host, is_named) in hosts {
            assert_eq!(host_name(host).is_some(), is_named, "{host:?}");
        }
    }

    #[test]
    fn validity_is_whole_days_and_survives_leap_days_and_odd_clocks() {
        let mut params = CertificateParams::default();
        for now in [Time(0), Time(1_709_164_800_000), Time(u64::MAX)] {
            set_validity(&mut params, now, CA_YEARS);
            assert!(params.not_before < params.not_after, "{now}");
        }
    }
}
