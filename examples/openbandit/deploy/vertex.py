"""From raw files to a served ranking on Vertex AI: python deploy/vertex.py --bucket gs://... --service-account ... [--offline]"""
import click
import isthmus as im


@click.command()
@click.option("--bucket")
@click.option("--service-account")
@click.option("--offline", is_flag=True, help="Use the local stack: no account, nothing leaves this machine.")
@click.option("--rollout", is_flag=True, help="Then move the traffic, step by step: it needs real requests.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def main(bucket, service_account, offline, rollout, yes):
    with im.open("project.yaml", target="vertex", bucket=bucket, service_account=service_account, offline=offline) as project:
        plan = im.plan(project)          # validates first
        click.echo(plan)
        if not yes:
            click.confirm("Apply?", abort=True)
        im.apply(project, plan)
        im.ingest(project)
        im.materialize(project)
        im.train(project, "models/popularity.yaml")
        run = im.train(project, "models/logistic.yaml")
        click.echo(run)
        if run.gate == "fail":
            raise click.ClickException(f"{run.version} fails its gate: nothing is deployed")
        click.echo(im.deploy(project, "ranker"))      # the declared split
        if rollout:
            click.echo(im.rollout.start(project, "ranker").wait())      # returns at promote, abort or a pause


if __name__ == "__main__":
    main()
