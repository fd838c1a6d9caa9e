from pathlib import Path

from atlas_local.servers.prometheus import with_targets


def test_jobs_named_like_a_service_are_pointed_at_it():
    configuration = {
        "global": {"scrape_interval": "5s"},
        "scrape_configs": [
            {"job_name": "gateway", "metrics_path": "/metrics", "static_configs": [{"targets": ["gateway:8080"]}]},
            {"job_name": "elsewhere", "static_configs": [{"targets": ["x:1"]}]},
        ],
        "rule_files": ["alerts.yml"],
        "alerting": {"alertmanagers": []},
    }
    done = with_targets(configuration, {"gateway": "127.0.0.1:8080"}, Path("/project"))
    assert done == {
        "global": {"scrape_interval": "5s"},
        "scrape_configs": [
            {"job_name": "gateway", "metrics_path": "/metrics", "static_configs": [{"targets": ["127.0.0.1:8080"]}]},
            {"job_name": "elsewhere", "static_configs": [{"targets": ["x:1"]}]},
        ],
        "rule_files": ["/project/alerts.yml"],
    }
