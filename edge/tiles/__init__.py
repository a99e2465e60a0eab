"""Reference windows out of the map formats that fly: MBTiles, PMTiles, XYZ folders, GeoTIFF."""
