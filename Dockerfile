# sidestep as a sidecar: an image without a shell's needs, root, or anything to write to.
#
#   docker build -t sidestep .
#   docker run --read-only --tmpfs /run/sidestep:uid=65532,gid=65532,mode=0700 --network container:app sidestep
#
# It listens on 127.0.0.1 and is meant to share the app's network namespace: another container of the same pod,
# `network_mode: "service:app"` in Compose, `--network container:app` here. To listen on 0.0.0.0 instead, routes.yaml
# must name `server.client_keys`; without them sidestep refuses to start on anything but loopback. Keys come in as
# environment variables (`${OPENROUTER_API_KEY}` in routes.yaml), never as part of the image.

FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY proxy proxy
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && python -m venv /opt/sidestep \
    && /opt/sidestep/bin/pip install --no-cache-dir --no-compile /wheels/sidestep-*.whl \
    && /opt/sidestep/bin/pip uninstall --yes pip \
    && /opt/sidestep/bin/python -m compileall -q -j 0 /opt/sidestep/lib

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="sidestep" \
      org.opencontainers.image.description="A sidecar reverse proxy for AI providers" \
      org.opencontainers.image.licenses="Apache-2.0"
# Bytecode was compiled above: nothing is written at run time but the admin token, in /run/sidestep. Large blocks of memory
# go back to the system at once: glibc, which learns to keep them, would keep the room of long prompts.
ENV PATH=/opt/sidestep/bin:$PATH \
    MALLOC_MMAP_THRESHOLD_=131072 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XDG_RUNTIME_DIR=/run
RUN install -d -o 65532 -g 65532 -m 0700 /run/sidestep
COPY --from=build /opt/sidestep /opt/sidestep
COPY routes.yaml /etc/sidestep/routes.yaml
COPY policies /etc/sidestep/policies
# Numeric, so that Kubernetes can verify runAsNonRoot.
USER 65532:65532
WORKDIR /etc/sidestep
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["sidestep", "health"]
ENTRYPOINT ["sidestep"]
CMD ["run", "--routes", "/etc/sidestep/routes.yaml"]
