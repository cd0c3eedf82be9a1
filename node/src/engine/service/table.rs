//! Names that go with TCP port numbers, as nmap names them: a guess, never a finding.

/// Number and name, sorted by number.
const NAMES: [(u16, &str); 96] = [
    (7, "echo"),
    (9, "discard"),
    (13, "daytime"),
    (21, "ftp"),
    (22, "ssh"),
    (23, "telnet"),
    (25, "smtp"),
    (37, "time"),
    (53, "domain"),
    (79, "finger"),
    (80, "http"),
    (81, "hosts2-ns"),
    (88, "kerberos-sec"),
    (102, "iso-tsap"),
    (110, "pop3"),
    (111, "rpcbind"),
    (113, "ident"),
    (119, "nntp"),
    (135, "msrpc"),
    (139, "netbios-ssn"),
    (143, "imap"),
    (179, "bgp"),
    (389, "ldap"),
    (443, "https"),
    (445, "microsoft-ds"),
    (464, "kpasswd5"),
    (465, "smtps"),
    (502, "mbap"),
    (512, "exec"),
    (513, "login"),
    (514, "shell"),
    (515, "printer"),
    (548, "afp"),
    (554, "rtsp"),
    (587, "submission"),
    (593, "http-rpc-epmap"),
    (631, "ipp"),
    (636, "ldapssl"),
    (853, "domain-s"),
    (873, "rsync"),
    (902, "iss-realsecure"),
    (990, "ftps"),
    (993, "imaps"),
    (995, "pop3s"),
    (1080, "socks"),
    (1433, "ms-sql-s"),
    (1521, "oracle"),
    (1723, "pptp"),
    (1883, "mqtt"),
    (2049, "nfs"),
    (2181, "eforward"),
    (2222, "EtherNetIP-1"),
    (2375, "docker"),
    (2376, "docker"),
    (2379, "etcd-client"),
    (3000, "ppp"),
    (3128, "squid-http"),
    (3260, "iscsi"),
    (3268, "globalcatLDAP"),
    (3306, "mysql"),
    (3389, "ms-wbt-server"),
    (3690, "svn"),
    (4369, "epmd"),
    (4840, "opcua-tcp"),
    (5000, "upnp"),
    (5060, "sip"),
    (5061, "sip-tls"),
    (5222, "xmpp-client"),
    (5357, "wsdapi"),
    (5432, "postgresql"),
    (5601, "esmagent"),
    (5672, "amqp"),
    (5900, "vnc"),
    (5901, "vnc-1"),
    (5985, "wsman"),
    (5986, "wsmans"),
    (6000, "X11"),
    (6379, "redis"),
    (6443, "sun-sr-https"),
    (6667, "irc"),
    (8000, "http-alt"),
    (8008, "http"),
    (8009, "ajp13"),
    (8080, "http-proxy"),
    (8443, "https-alt"),
    (8883, "secure-mqtt"),
    (8888, "sun-answerbook"),
    (9090, "zeus-admin"),
    (9092, "XmlIpcRegSvc"),
    (9100, "jetdirect"),
    (9200, "wap-wsp"),
    (10000, "snet-sensor-mgmt"),
    (11211, "memcache"),
    (20000, "dnp"),
    (27017, "mongod"),
    (44818, "EtherNetIP-2"),
];

/// Ports whose TLS seldom wraps HTTP, and what it wraps.
const INSIDE_TLS: [(u16, &str); 10] = [
    (465, "smtps"),
    (636, "ldapssl"),
    (853, "domain-s"),
    (990, "ftps"),
    (993, "imaps"),
    (995, "pop3s"),
    (3389, "ms-wbt-server"),
    (5061, "sip-tls"),
    (5986, "wsmans"),
    (8883, "secure-mqtt"),
];

/// Ports whose TLS nearly always wraps HTTP.
const HTTPS: [u16; 8] = [443, 4443, 5443, 6443, 7443, 8443, 9443, 10443];

/// The name for a port number.
pub(super) fn name(port: u16) -> Option<&'static str> {
    NAMES.iter().find(|(number, _)| *number == port).map(|(_, name)| *name)
}

/// The name for what TLS wraps on a port; `ssl` when even a guess would be wild.
pub(super) fn name_inside_tls(port: u16) -> &'static str {
    if HTTPS.contains(&port) {
        return "https";
    }
    INSIDE_TLS.iter().find(|(number, _)| *number == port).map_or(super::tls::UNKNOWN_INSIDE, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_each_port_once() {
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!((name(22), name(1)), (Some("ssh"), None));
        assert_eq!((name_inside_tls(8443), name_inside_tls(993), name_inside_tls(1)), ("https", "imaps", "ssl"));
    }
}
