# The service and its migration job, in one image:
#   docker run … headless-mfa                            serves on 3000
#   docker run … headless-mfa dist/cli/migrate.js        brings the database up to date, as the owner (DATABASE_OWNER_URL)
# It needs no writable file system, no capability and no shell: --read-only --cap-drop ALL --security-opt no-new-privileges.
# Secrets come as mounted files (NAME_FILE), never as ARG or ENV, which stay readable in the layers and in /proc.
# No engine builds this in our CI: `npm run image` runs these very steps and tries out what they make.

# A release pins both base images, so that a tag which moves cannot change it: --build-arg BUILD_DIGEST=@sha256:…, as
# `docker buildx imagetools inspect <tag>` prints it.
ARG BUILD_DIGEST=
ARG RUNTIME_DIGEST=

FROM node:24-bookworm-slim${BUILD_DIGEST} AS build
WORKDIR /build
# Alone, so that a change of the sources does not install again.
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json prisma.config.ts ./
COPY scripts/generate.mjs scripts/build.mjs scripts/bundle.mjs scripts/
COPY prisma prisma
COPY src src
RUN npm run build
# What is optional is the embedded PostgreSQL, which production refuses.
RUN npm ci --omit=dev --omit=optional
RUN mkdir -p image/prisma && mv package.json node_modules dist image/ && mv prisma/migrations image/prisma/

FROM gcr.io/distroless/nodejs24-debian12:nonroot${RUNTIME_DIGEST}
# All of it root's. WORKDIR comes after it, since it would make the folder the property of the base image's user.
COPY --from=build /build/image/ /app/
WORKDIR /app
ENV NODE_ENV=production HOST=:: PORT=3000
USER 65532:65532
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=3s CMD ["/nodejs/bin/node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/live`).then(answer => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# SIGUSR1 would open the inspector: a user who may signal the process could then run code in it.
# New objects in 4 MiB and not in 16, and the old are looked through when they are half as many again: a third less memory under
# load, which stays the same, and a login costs as much.
ENTRYPOINT ["/nodejs/bin/node", "--disable-sigusr1", "--max-semi-space-size=4", "--heap-growing-percent=50"]
CMD ["dist/server.js"]
