//! The nmap scripts and script arguments that a scan may name.
//!
//! The list holds the scripts of nmap 7.93 in the categories `default` or `safe` that are in none of
//! [`REFUSED_CATEGORIES`]. It leaves out those that read or write files, that look outside the targets, or that change
//! the target's settings.

use std::collections::{BTreeMap, BTreeSet};

/// The word for nmap's default scripts, less [`NOT_DEFAULT`].
pub(super) const DEFAULT_WORD: &str = "default";

/// The word for every script of the list.
pub(super) const SAFE_LIST_WORD: &str = "safe-list";

/// Categories whose scripts attack, leak to third parties, or scan outside the targets.
pub(super) const REFUSED_CATEGORIES: &[&str] =
    &["all", "exploit", "dos", "brute", "fuzzer", "malware", "intrusive", "vuln", "auth", "external", "broadcast"];

/// nmap runs these by default; we do not: they ask third parties or touch files.
pub(super) const NOT_DEFAULT: &[&str] = &["http-open-proxy", "socks-open-proxy", "jdwp-info", "ssl-known-key"];

/// Arguments that a scan may set: they make a script slower, shorter or politer, and cannot make it write or attack.
pub(super) const ARGUMENT_KEYS: &[&str] = &[
    "banner.timeout",
    "http.max-body-size",
    "http.max-pipeline",
    "http.truncated-ok",
    "http.useragent",
    "ssh_hostkey",
    "tls.servername",
];

/// The longest value of a script argument.
pub(super) const MAX_ARGUMENT_BYTES: usize = 64;

/// How many names of the list stand in one rule for nmap.
const NAMES_IN_A_RULE: usize = 25;

/// Why a script name was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScriptError {
    /// A category of attacks, leaks or foreign targets.
    #[error("category {0} holds scripts that attack, ask third parties or leave the targets; name single scripts")]
    Category(&'static str),
    /// One of [`NOT_DEFAULT`].
    #[error("script {0} asks third parties or touches files; leave it out")]
    Harmful(&'static str),
    /// Paths, wildcards and expressions too.
    #[error(
        "script \"{0}\" is not in the script list; write default, safe-list, or names from the list, joined by commas"
    )]
    Unlisted(String),
}

/// Reads names joined by commas.
pub(super) fn parse_names(text: &str) -> Result<BTreeSet<&'static str>, ScriptError> {
    text.split(',').map(parse_name).collect()
}

fn parse_name(name: &str) -> Result<&'static str, ScriptError> {
    let find = |list: &[&'static str]| list.iter().copied().find(|known| *known == name);
    if let Some(known) = find(&[DEFAULT_WORD, SAFE_LIST_WORD]).or_else(|| find(DEFAULT)).or_else(|| find(EXTRA)) {
        return Ok(known);
    }
    if let Some(category) = find(REFUSED_CATEGORIES) {
        return Err(ScriptError::Category(category));
    }
    Err(find(NOT_DEFAULT).map_or_else(|| ScriptError::Unlisted(super::error::shown(name)), ScriptError::Harmful))
}

/// Reads `key=value` joined by commas, each key once.
pub(super) fn parse_arguments(text: &str) -> Option<BTreeMap<&'static str, String>> {
    let mut arguments = BTreeMap::new();
    for item in text.split(',') {
        let (key, value) = item.split_once('=')?;
        let key = ARGUMENT_KEYS.iter().copied().find(|known| *known == key)?;
        if !is_plain(value) || arguments.insert(key, value.to_owned()).is_some() {
            return None;
        }
    }
    Some(arguments)
}

fn is_plain(value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_ARGUMENT_BYTES).contains(&value.len()) && value.bytes().all(plain)
}

/// True for a name that only a node's policy can let in: not one of the default scripts.
pub(super) fn is_extra(name: &str) -> bool {
    name != DEFAULT_WORD && !DEFAULT.contains(&name)
}

/// What nmap's `--script` gets for these names.
///
/// The words become expressions of names, so that a file or category of the same name in another nmap cannot slip in,
/// and a script that this nmap does not have is passed over.
pub(super) fn expression(names: &BTreeSet<&'static str>) -> String {
    let rules: Vec<String> = names.iter().map(|name| rule(name)).collect();
    rules.join(",")
}

fn rule(name: &str) -> String {
    match name {
        DEFAULT_WORD => format!("default and not (external or {})", NOT_DEFAULT.join(" or ")),
        SAFE_LIST_WORD => safe_list(),
        name => name.to_owned(),
    }
}

/// nmap refuses a rule of which nothing is found, so a rule holds many names; and its parser (7.93) gives
/// up somewhere between 130 and 150 names in one.
fn safe_list() -> String {
    let all = [DEFAULT, EXTRA].concat();
    all.chunks(NAMES_IN_A_RULE).map(|names| names.join(" or ")).collect::<Vec<_>>().join(",")
}

/// Scripts of the list that nmap runs by default.
#[rustfmt::skip]
pub(super) const DEFAULT: &[&str] = &[
    "address-info", "afp-serverinfo", "ajp-methods", "amqp-info", "auth-owners", "backorifice-info",
    "bitcoinrpc-info", "cassandra-info", "clock-skew", "dns-nsid", "dns-recursion", "dns-service-discovery",
    "epmd-info", "finger", "flume-master-info", "freelancer-info", "ftp-bounce", "ftp-syst", "ganglia-info",
    "giop-info", "gopher-ls", "hadoop-datanode-info", "hadoop-jobtracker-info", "hadoop-namenode-info",
    "hadoop-secondary-namenode-info", "hadoop-tasktracker-info", "hbase-master-info", "hbase-region-info",
    "hddtemp-info", "hnap-info", "http-cisco-anyconnect", "http-cors", "http-favicon", "http-generator", "http-ls",
    "http-methods", "http-ntlm-info", "http-robots.txt", "http-svn-enum", "http-svn-info", "http-title",
    "http-webdav-scan", "ike-version", "imap-capabilities", "imap-ntlm-info", "ip-https-discover", "ipv6-node-info",
    "irc-info", "iscsi-info", "knx-gateway-info", "maxdb-info", "mongodb-databases", "mongodb-info", "ms-sql-info",
    "ms-sql-ntlm-info", "mysql-info", "nat-pmp-info", "nbns-interfaces", "nbstat", "ncp-serverinfo", "netbus-info",
    "nntp-ntlm-info", "ntp-info", "openflow-info", "openlookup-info", "p2p-conficker", "pop3-capabilities",
    "pop3-ntlm-info", "quake1-info", "quake3-info", "quake3-master-getservers", "rdp-ntlm-info", "rmi-dumpregistry",
    "rpcinfo", "rtsp-methods", "servicetags", "sip-methods", "smb-os-discovery", "smb-security-mode",
    "smb2-security-mode", "smb2-time", "smtp-commands", "smtp-ntlm-info", "snmp-hh3c-logins", "snmp-info",
    "snmp-interfaces", "snmp-netstat", "snmp-processes", "snmp-sysdescr", "snmp-win32-services", "snmp-win32-shares",
    "snmp-win32-software", "socks-auth-info", "ssh-hostkey", "sshv1", "ssl-cert", "ssl-date", "sslv2",
    "sstp-discover", "telnet-ntlm-info", "tls-alpn", "tls-nextprotoneg", "ubiquiti-discovery", "upnp-info",
    "uptime-agent-info", "ventrilo-info", "vnc-info", "weblogic-t3-info", "wsdd-discover", "xmlrpc-methods",
    "xmpp-info",
];

/// Scripts that nmap calls `safe` and does not run by default; a node runs them only when its policy names them.
#[rustfmt::skip]
pub(super) const EXTRA: &[&str] = &[
    "acarsd-info", "afp-ls", "afp-showmount", "ajp-headers", "allseeingeye-info", "banner", "bitcoin-getaddr",
    "bitcoin-info", "bjnp-discover", "cics-info", "citrix-enum-apps", "citrix-enum-apps-xml", "citrix-enum-servers",
    "citrix-enum-servers-xml", "coap-resources", "couchdb-databases", "couchdb-stats", "cups-info", "cups-queue-info",
    "daap-get-library", "daytime", "db2-das-info", "dhcp-discover", "dict-info", "drda-info", "duplicates",
    "eppc-enum-processes", "firewalk", "gkrellm-info", "gpsd-info", "http-affiliate-id", "http-apache-negotiation",
    "http-apache-server-status", "http-auth-finder", "http-backup-finder", "http-bigip-cookie",
    "http-cakephp-version", "http-comments-displayer", "http-date", "http-gitweb-projects-enum", "http-grep",
    "http-headers", "http-hp-ilo-info", "http-mcmp", "http-mobileversion-checker", "http-php-version",
    "http-qnap-nas-info", "http-referer-checker", "http-sap-netweaver-leak", "http-security-headers",
    "http-traceroute", "http-trane-info", "http-useragent-tester", "http-vlcstreamer-ls", "icap-info", "ipidseq",
    "ipmi-version", "isns-info", "ldap-novell-getpass", "ldap-rootdse", "ldap-search", "lexmark-config",
    "mcafee-epo-agent", "membase-http-info", "memcached-info", "mqtt-subscribe", "ms-sql-config", "ms-sql-dac",
    "ms-sql-query", "ms-sql-tables", "msrpc-enum", "ndmp-fs-info", "nfs-ls", "nfs-showmount", "nfs-statfs",
    "openwebnet-discovery", "oracle-tns-version", "path-mtu", "port-states", "qscan", "rdp-enum-encryption",
    "redis-info", "reverse-index", "rfc868-time", "riak-http-info", "rpcap-info", "rsync-list-modules", "rusers",
    "smb-ls", "smb-mbenum", "smb-protocols", "smb2-capabilities", "ssh2-enum-algos", "stun-info", "telnet-encryption",
    "tn3270-screen", "unusual-port", "versant-info", "vmware-version", "voldemort-info", "vuze-dht-info",
    "xdmcp-discover",
];
