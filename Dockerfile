# Holdfast as a container: built from this tree, run by a user without rights, data in the volume /var/lib/holdfast.
#
#   docker build -t holdfast .
#   docker run --rm -p 127.0.0.1:8080:8080 -v holdfast:/var/lib/holdfast holdfast key new --name shop --data-dir /var/lib/holdfast
#   docker run -d --name holdfast -p 8080:8080 -v holdfast:/var/lib/holdfast --stop-timeout 60 holdfast
#
# It listens beyond loopback, so it starts once there is an API key (the second line), or with --insecure as its argument.
# Not run by the project so far: no container engine was at hand. hadolint passes, and tests run the same binary.

FROM rust:1.95-slim-bookworm AS build
# Needs a C compiler and make only: librdkafka and the allocator are built from source.
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++=4:* make=4.* \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --profile dist --locked -p holdfast

FROM debian:bookworm-slim
RUN groupadd --system --gid 10001 holdfast \
 && useradd --system --uid 10001 --gid holdfast --home-dir /var/lib/holdfast --shell /usr/sbin/nologin holdfast \
 && install -d -o holdfast -g holdfast -m 0700 /var/lib/holdfast
COPY --from=build /src/target/dist/holdfast /usr/local/bin/holdfast
USER 10001:10001
WORKDIR /var/lib/holdfast
ENV HOLDFAST__DATA__DIR=/var/lib/holdfast \
    HOLDFAST__DATA__DEMO=false \
    HOLDFAST__SERVER__LISTEN=0.0.0.0:8080 \
    HOLDFAST__LOG__FORMAT=json
VOLUME /var/lib/holdfast
EXPOSE 8080
# A stop answers what is in hand and syncs: give it more than the ten seconds of `docker stop`.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 CMD ["holdfast", "healthcheck", "--address", "127.0.0.1:8080"]
ENTRYPOINT ["holdfast"]
CMD ["serve"]
