//! What `-h` prints.

pub(super) const USAGE: &str = "
Usage: onehop [options]

Server Options:
    -a, --addr, --net <host>         Bind to host address (default: 0.0.0.0)
    -p, --port <port>                Use port for clients, -1 for any (default: 4222)
    -n, --name
        --server_name <server_name>  Server name (default: auto)
    -P, --pid <file>                 File to store PID
    -m, --http_port <port>           Use port for http monitoring, -1 for any
    -c, --config <file>              Configuration file
    -t                               Test configuration and exit
    -sl, --signal <signal>=<pid>     Send signal to onehop process (ldm, stop, quit, term, reopen, reload),
                                     which a file may name: <signal>=<pid_file>
        --ports_file_dir <dir>       Creates a ports file in the specified directory (<executable_name>_<pid>.ports)
    -sd, --store_dir <dir>           Taken and not used: nothing is stored without JetStream
        --client_advertise <string>  Client address to advertise to other servers

Logging Options:
    -l, --log <file>                 File to redirect log output
    -T, --logtime                    Timestamp log entries (default: true)
        --logtime_utc                Timestamps in UTC instead of local timezone (default: false)
    -D, --debug                      Enable debugging output
    -V, --trace                      Trace the raw protocol
    -DV                              Debug and trace
        --log_size_limit <limit>     Log file size in bytes beyond which another is begun (default: no limit)

Authorization Options:
        --user <user>                User required for connections
        --pass <password>            Password required for connections
        --auth <token>               Authorization token required for connections

TLS Options:
        --tls                        Enable TLS, do not verify clients (default: false)
        --tlscert <file>             Server certificate file
        --tlskey <file>              Private key for server certificate
        --tlsverify                  Enable TLS, verify client certificates
        --tlscacert <file>           Client certificate CA for verification

Cluster Options:
        --routes <rurl-1, rurl-2>    Routes to solicit and connect
        --cluster <cluster-url>
        --cluster_listen <url>       Cluster URL from which members can solicit routes, with port -1 for any
        --cluster_name <string>      Cluster name, if not set one will be dynamically generated
        --no_advertise[=<bool>]      Do not advertise known cluster information to clients
        --cluster_advertise <string> Cluster address to advertise to other servers
        --connect_retries <number>   For implicit routes, number of connect retries

Discovery Options:
        --discover <name>            Be in this cluster and find its servers in the local network; they reach
                                     this one at port 6222 unless a cluster is configured
        --secret <file>              Find servers anywhere, through the DHT, that have the same secret in a file;
                                     they reach this one at port 6222 unless a cluster is configured
        --new_secret <file>          Write a new secret to a file, which must not be there yet, and exit
        --discover_dns <host[:port]> Names whose addresses are servers (default port: 6222), divided by commas
                                     or each with a flag of its own
        --discover_frp <url>         Web server of the FRP client whose tunnel leads to this server, such as
                                     http://127.0.0.1:7400 (user and password: in the configuration file)
        --peers_file <file>          File to keep the servers of the cluster in, for the next start

Common Options:
    -h, --help                       Show this message
    -v, --version                    Show version
";
