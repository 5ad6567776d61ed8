# hotspare without a system around it: the binary, the libraries that it is linked to, the authorities
# that TLS trusts, and a user. docs/deployment.md says how to run it.
FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build

# What others wrote, in a layer of its own: it is built anew only when the list of it changes.
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY grafana/generate.rs grafana/
RUN mkdir -p src tests/it \
    && touch src/lib.rs \
    && echo 'fn main() {}' | tee src/main.rs tests/it/main.rs \
    && cargo build --release --locked --bin hotspare

COPY src src
# The files above are younger than what comes here.
RUN touch src/lib.rs src/main.rs
ARG REVISION=unknown
RUN HOTSPARE_REVISION=$REVISION cargo build --release --locked --bin hotspare
COPY LICENSE ./
COPY debian/hotspare.yaml debian/
COPY scripts/image-root scripts/
RUN scripts/image-root target/release/hotspare /image

FROM scratch
COPY --from=build /image/root/ /
# Apart, and into folders that are not there yet: those that are there keep their owner.
COPY --from=build --chown=65532:65532 /image/user/ /
USER 65532:65532
# On the socket, what asks from within (the check below, `docker exec`) needs neither TLS nor a password.
ENV HOTSPARE_WEB_LISTEN_ADDRESS=0.0.0.0:9887,unix:/run/hotspare/hotspare.sock
ENV HOTSPARE_URL=unix:/run/hotspare/hotspare.sock
ENV HOTSPARE_STATE_DIR=/var/lib/hotspare
EXPOSE 9887
VOLUME /var/lib/hotspare
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["/usr/bin/hotspare", "healthy"]
ENTRYPOINT ["/usr/bin/hotspare"]
CMD ["run"]
