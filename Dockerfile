# One image for every part of Assay; docker-compose.yml says which command runs where.
# pip takes its settings from build arguments: PIP_EXTRA_INDEX_URL with PyTorch's CPU wheels makes a much
# smaller image for machines without a GPU.

FROM python:3.11-slim AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /usr/local/assay
# First, and in a layer of its own: the largest package, and the one that changes least.
RUN /usr/local/assay/bin/pip install "torch>=2.6,<2.14"
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY plugin plugin
COPY db db
COPY migrations migrations
COPY tasks tasks
RUN /usr/local/assay/bin/pip install .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/assay assay \
 && install --directory --owner=assay --mode=0750 /var/lib/assay
COPY --from=build /usr/local/assay /usr/local/assay
ENV PATH=/usr/local/assay/bin:$PATH PYTHONUNBUFFERED=1 ASSAY_HOME=/var/lib/assay
USER assay
# Where no package of somebody else can shadow ours.
WORKDIR /var/lib/assay
VOLUME /var/lib/assay
EXPOSE 8040
CMD ["uvicorn", "plugin.web.app:create_app", "--factory", "--host", "0.0.0.0", "--port", "8040", "--no-access-log"]
