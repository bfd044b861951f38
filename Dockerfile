# One image per row of services/catalog.ts; docs/images.md says how they are built and why so.
#
#   docker build --build-arg SERVICE=archiver --build-arg VERSION=v0.1.0 -t ghcr.io/trading-cz/archiver:v0.1.0 .
#
# Versions and digests of both base images stand in components/versions.ts, too; a check holds them equal.

FROM node:26.10.0-trixie-slim@sha256:ec7758ee051e457b468b32bde57b0879010b325bb9862718e9615225ce4aaae1 AS build
WORKDIR /build
# Packages first: this layer changes with them only, and is the same for all services.
COPY package.json package-lock.json .npmrc ./
COPY images/packages.ts images/
RUN node images/packages.ts && npm ci --ignore-scripts --no-fund --no-audit
COPY images images
COPY services services
ARG SERVICE
RUN node images/bundle.ts "$SERVICE" app

FROM gcr.io/distroless/nodejs26-debian13:nonroot@sha256:afc6657a4b662f9cb69ca892b0596e55d6ef81a10e83ee8887b13f602877df89
ARG SERVICE
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="$SERVICE" \
      org.opencontainers.image.description="Service $SERVICE of the trading platform" \
      org.opencontainers.image.source="https://github.com/trading-cz/trading-platform" \
      org.opencontainers.image.vendor="trading-cz" \
      org.opencontainers.image.licenses="LicenseRef-UNLICENSED" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="gcr.io/distroless/nodejs26-debian13:nonroot"
# Pods start `node` by its name.
ENV NODE_ENV=production \
    PATH=/nodejs/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /app
COPY --from=build /build/app/ ./
# The pods' user. Files are root's and nobody else may write them.
USER 1000:1000
EXPOSE 8080
# Node is process 1 and handles SIGTERM itself; `main` of package.json is the service.
ENTRYPOINT ["/nodejs/bin/node", "--enable-source-maps"]
CMD ["."]
