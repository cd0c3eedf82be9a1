//! Every question that is asked, and every greeting that is understood. None of the questions changes anything, logs in, or
//! leaves more than a line in a log.

use super::found::{Found, Said};
use super::{database, greeting, http, messages, naming, remote, tls};

/// Reads what a service said, once that is enough to tell.
pub(super) type Parser = fn(&Said<'_>) -> Option<Found>;

/// A question: what to send, how to read the answer, and where it is asked first.
pub(super) struct Probe {
    pub(super) send: Send,
    pub(super) read: Parser,
    pub(super) ports: &'static [u16],
    /// Whether it is common enough to be asked first, and alone, on any port.
    pub(super) common: bool,
    /// Whether it makes sense only where the number says so: others take it for something else.
    pub(super) rare: bool,
    /// Whether it is the question for TLS.
    pub(super) is_tls: bool,
}

/// What a question sends.
pub(super) enum Send {
    Bytes(&'static [u8]),
    Made(fn() -> Vec<u8>),
}

impl Send {
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Made(make) => make(),
        }
    }
}

const fn probe(bytes: &'static [u8], read: Parser, ports: &'static [u16]) -> Probe {
    Probe { send: Send::Bytes(bytes), read, ports, common: false, rare: false, is_tls: false }
}

/// Every question, the common ones first.
pub(super) static PROBES: [Probe; 22] = [
    Probe {
        send: Send::Made(tls::client_hello),
        common: true,
        is_tls: true,
        ..probe(&[], tls::parse, &[443, 465, 636, 853, 989, 990, 993, 995, 5671, 6697, 8443, 8883])
    },
    Probe {
        common: true,
        ..probe(http::REQUEST, http::parse, &[80, 81, 591, 2375, 3000, 5000, 8000, 8008, 8080, 8888, 9200])
    },
    probe(database::REDIS_REQUEST, database::parse_redis, &[6379, 6380]),
    probe(database::POSTGRES_REQUEST, database::parse_postgres, &[5432, 5433]),
    probe(database::MEMCACHED_REQUEST, database::parse_memcached, &[11211]),
    probe(database::MONGODB_REQUEST, database::parse_mongodb, &[27017, 27018, 27019]),
    probe(database::MSSQL_REQUEST, database::parse_mssql, &[1433]),
    probe(database::ZOOKEEPER_REQUEST, database::parse_zookeeper, &[2181]),
    probe(naming::DNS_REQUEST, naming::parse_dns, &[53, 5353]),
    probe(naming::LDAP_REQUEST, naming::parse_ldap, &[389, 636, 3268, 3269]),
    probe(naming::RPC_REQUEST, naming::parse_rpc, &[111]),
    probe(naming::EPMD_REQUEST, naming::parse_epmd, &[4369]),
    probe(messages::MQTT_REQUEST, messages::parse_mqtt, &[1883, 8883]),
    probe(messages::AMQP_REQUEST, messages::parse_amqp, &[5671, 5672]),
    probe(messages::SIP_REQUEST, messages::parse_sip, &[5060, 5061]),
    probe(messages::IRC_REQUEST, messages::parse_irc, &[6660, 6666, 6667, 6668, 6669, 6697]),
    probe(messages::XMPP_REQUEST, messages::parse_xmpp, &[5222, 5269]),
    probe(messages::GIT_REQUEST, messages::parse_git, &[9418]),
    probe(messages::AJP_REQUEST, messages::parse_ajp, &[8009]),
    probe(remote::RDP_REQUEST, remote::parse_rdp, &[3389]),
    probe(remote::SOCKS_REQUEST, remote::parse_socks, &[1080, 9050]),
    Probe { send: Send::Made(remote::smb_request), rare: true, ..probe(&[], remote::parse_smb, &[445]) },
];

/// Parsers of greetings, the most telling first.
const GREETINGS: [Parser; 12] = [
    remote::parse_ssh,
    remote::parse_vnc,
    remote::parse_telnet,
    greeting::parse_smtp,
    greeting::parse_ftp,
    greeting::parse_pop3,
    greeting::parse_imap,
    greeting::parse_nntp,
    greeting::parse_rsync,
    greeting::parse_svn,
    database::parse_mysql,
    http::parse,
];

/// Reads a greeting of any kind.
pub(super) fn parse_greeting(said: &Said<'_>) -> Option<Found> {
    GREETINGS.iter().find_map(|parse| parse(said))
}
