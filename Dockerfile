# Parley's app (target "app", the default) and, for a GPU, its model server (target "vllm").
# compose.yaml builds both; by hand: docker build -t parley .

FROM python:3.12-slim AS app
WORKDIR /parley
COPY requirements requirements
COPY constraints.txt .
# The CPU build of torch: the app's own models need no GPU, and CUDA would add 6 GB.
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
        -c constraints.txt -r requirements/runtime.txt -r requirements/postgres.txt \
        -r requirements/telemetry.txt
COPY . .
RUN useradd --uid 10001 parley && mkdir /data && chown parley /data
USER parley
ENV PARLEY_HOST=0.0.0.0 PARLEY_HOME=/data PYTHONUNBUFFERED=1
EXPOSE 7860
# Liveness only: a database that is away is no reason to restart this.
HEALTHCHECK --start-period=120s --interval=10s --timeout=5s CMD ["python", "-c", \
    "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/health/live', timeout=4)"]
CMD ["python", "app.py"]

FROM vllm/vllm-openai:v0.31.0 AS vllm
WORKDIR /parley
COPY requirements requirements
# Everything requirements/vllm.txt lists for agent.serve and the slate processor, but for vLLM
# itself, which the image has with the torch and the kernels it was built for.
RUN grep -v '^vllm' requirements/vllm.txt > /tmp/vllm.txt \
    && pip install --no-cache-dir -r /tmp/vllm.txt
COPY . .
ENTRYPOINT []
EXPOSE 8000
CMD ["python3", "-m", "agent.serve", "--host", "0.0.0.0", "--port", "8000"]
