# Meridian: one static binary, no shell, not root.
#   docker build -t meridian --build-arg VERSION=$(git describe --tags --always) .
#   docker run -p 53:5300/udp -p 53:5300 -p 443:8443 -p 80:8080 -v ./configs/docker.yaml:/etc/meridian/meridian.yaml:ro -v meridian:/var/lib/meridian meridian
# The file must listen on all addresses (":5300"), or nothing outside the container reaches it; configs/docker.yaml does. The health
# check asks admin.listen 127.0.0.1:8053; set MERIDIAN_ADMIN if it is another.
FROM golang:1.26-bookworm AS build
ARG VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -tags timetzdata -ldflags "-s -w -X main.version=${VERSION}" -o /out/meridian ./cmd/meridian \
 && mkdir -p /out/state /out/etc

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/meridian /usr/bin/meridian
COPY --from=build --chown=65532:65532 /out/state /var/lib/meridian
USER 65532:65532
VOLUME /var/lib/meridian
EXPOSE 5300/udp 5300/tcp 8443/tcp 8080/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/bin/meridian", "status", "--quiet", "--ready"]
ENTRYPOINT ["/usr/bin/meridian"]
CMD ["serve", "-c", "/etc/meridian/meridian.yaml"]
